import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/packages/executable.ts';
import { run } from './command.ts';

/** What a Debian of a user has: procps has the kill of the unit, minisign and curl are for install.sh. */
const PACKAGES = ['systemd', 'procps', 'minisign', 'curl'];
const BASE = path.join(ROOT, 'build', 'base-systemd.tar');

/** The archive of a small Debian; it is made once, and kept for the next run. */
export function makeBase(): string {
  if (!existsSync(BASE)) run('mmdebstrap', ['--variant=minbase', `--include=${PACKAGES.join(',')}`, 'bookworm', BASE]);
  return BASE;
}
