import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/packages/executable.ts';
import { run } from './command.ts';

/** Packages that a user's Debian has: procps for the `kill` of the unit, minisign and curl for install.sh. */
const PACKAGES = ['systemd', 'procps', 'minisign', 'curl'];
const BASE = path.join(ROOT, 'build', 'base-systemd.tar');

/** Archive of a small Debian; it is made once and kept for later runs. */
export function makeBase(): string {
  if (!existsSync(BASE)) run('mmdebstrap', ['--variant=minbase', `--include=${PACKAGES.join(',')}`, 'bookworm', BASE]);
  return BASE;
}
