import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './executable.ts';

/**
 * The time that packages give to their files, in seconds since 1970: `SOURCE_DATE_EPOCH`, or that of the commit. The same
 * sources then give the same bytes.
 */
export function sourceDate(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }));
}

/** Writes text to a file of a folder that becomes a package; makes the folders above it. */
export function writeInto(folder: string, name: string, text: string, mode = 0o644): void {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
}

/** Copies a file of the repository into a folder that becomes a package. */
export function copyInto(folder: string, name: string, source: string): void {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  cpSync(path.join(ROOT, source), path.join(folder, name));
}

/** Packs a folder with GNU tar: sorted, with one time, and all owned by root, so that nothing of this machine is in it. */
export function tarFolder(folder: string, output: string, names: readonly string[] = ['.']): void {
  const same = ['--sort=name', '--numeric-owner', '--owner=0', '--group=0', `--mtime=@${sourceDate()}`, '--format=gnu'];
  execFileSync('tar', ['-C', folder, ...same, '-cf', output, ...names], { stdio: ['ignore', 'ignore', 'inherit'] });
}
