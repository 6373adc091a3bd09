import { spawnSync } from 'node:child_process';
import { run } from './command.ts';

const NAMES = ['mmdebstrap', 'systemd', 'iproute2', 'skopeo', 'umoci', 'crun', 'binutils', 'procps'];

/** Installs the Debian packages with the programs that build, unpack and run the packages. */
export function installDebianPackages(): void {
  const isMissing = (name: string): boolean => spawnSync('dpkg', ['-s', name]).status !== 0;
  const missing = NAMES.filter(isMissing);
  if (missing.length === 0) return;
  run('apt-get', ['update', '-qq']);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], environment);
}

/** This machine, as Debian calls it: `amd64` or `arm64`. */
export function debianArchitecture(): string {
  return run('dpkg', ['--print-architecture']).trim();
}
