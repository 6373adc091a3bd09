import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const FREQUENCY = 999;

/** Shares of the CPU time of a process, from 0 to 1. */
export interface CpuShares {
  readonly kernel: number;
  /** The program of the runtime, with its TLS library. */
  readonly runtime: number;
  /** Code that the runtime compiled from JavaScript. */
  readonly compiled: number;
  /** The C library: mostly copying. */
  readonly libc: number;
  readonly other: number;
}

/** Samples a process for some seconds with perf. Null where perf is missing or not allowed. */
export async function sampleShares(pid: number, seconds: number, dir: string): Promise<CpuShares | null> {
  const file = `${dir}/perf.data`;
  try {
    const where = ['-e', 'cpu-clock', '-F', String(FREQUENCY), '-p', String(pid), '-o', file];
    await run('perf', ['record', ...where, '--', 'sleep', String(seconds)]);
    const { stdout } = await run('perf', ['report', '-i', file, '--stdio', '--sort', 'dso']);
    return readShares(stdout);
  } catch {
    return null;
  }
}

function readShares(report: string): CpuShares {
  const shares = { kernel: 0, runtime: 0, compiled: 0, libc: 0, other: 0 };
  for (const line of report.split('\n')) {
    const [, percent, dso] = /^(\d+\.\d+)%\s+(\S.*)$/.exec(line.trim()) ?? [];
    if (dso !== undefined) shares[kindOf(dso)] += Number(percent) / 100;
  }
  return shares;
}

function kindOf(dso: string): keyof CpuShares {
  if (dso.startsWith('[kernel') || dso.startsWith('[guest.kernel')) return 'kernel';
  if (/^(?:node|bun)\b/.test(dso)) return 'runtime';
  if (dso.startsWith('libc')) return 'libc';
  return /^(?:\[JIT\]|perf-\d+\.map|\[unknown\]|anon|\/\/anon|\[anon)/.test(dso) ? 'compiled' : 'other';
}
