import { spawnSync } from 'node:child_process';

/** Runs a program and returns what it prints on both streams; throws an Error with the output when it fails. */
export function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return stdout + stderr;
  throw new Error(
    `${program} ${args.join(' ')}: ${error?.message ?? `exit code ${status ?? 'none'}`}\n${stdout}${stderr}`,
  );
}

/** Runs a program and returns what it prints on both streams, whatever its exit code is. */
export function runAnyway(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return stdout + stderr;
}

/** Returns whether a program is installed. If not, it prints `why`: what is not tested without it. */
export function has(program: string, why: string): boolean {
  const found = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  if (!found) console.log(`  not tested: ${why}, as there is no ${program} here`);
  return found;
}
