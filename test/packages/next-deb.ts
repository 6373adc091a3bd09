import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { VERSION } from '../../scripts/packages/executable.ts';
import { run } from './command.ts';

export const NEXT_VERSION: string = `${VERSION}+next`;

/** Makes the same package with a higher version. Unpacks it to `folder`; returns its path: `folder` with `.deb`. */
export function nextDeb(deb: string, folder: string): string {
  run('dpkg-deb', ['-R', deb, folder]);
  const control = path.join(folder, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${NEXT_VERSION}`));
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', folder, `${folder}.deb`]);
  run('rm', ['-r', folder]);
  return `${folder}.deb`;
}
