import { spawnSync } from 'node:child_process';
import { run } from './command.ts';

/** A mirror may fail once. */
const RETRIES = ['-o', 'Acquire::Retries=5'];
const NAMES = ['mmdebstrap', 'systemd', 'iproute2', 'skopeo', 'umoci', 'crun', 'binutils', 'procps'];

/** Installs the Debian packages with the programs that build, unpack and run the packages. */
export function installDebianPackages(): void {
  const isMissing = (name: string): boolean => spawnSync('dpkg', ['-s', name]).status !== 0;
  const missing = NAMES.filter(isMissing);
  if (missing.length === 0) return;
  run('apt-get', [...RETRIES, 'update', '-qq']);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', [...RETRIES, 'install', '-y', '-qq', '--no-install-recommends', ...missing], environment);
}

/** This machine, as Debian calls it: `amd64` or `arm64`. */
export function debianArchitecture(): string {
  return run('dpkg', ['--print-architecture']).trim();
}
