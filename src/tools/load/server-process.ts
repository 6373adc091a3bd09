import { readFileSync } from 'node:fs';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { residentBytesIn } from '../../base/proc-file.ts';

/** Linux reports these times in hundredths of a second, independent of the kernel's own tick. */
const TICKS_PER_SECOND = 100;
const UTIME_FIELD = 11;

/** CPU and memory of the relay's process at one moment. */
export interface ServerUsage {
  /** Part of one CPU since the last call; more than 1 with several threads. */
  readonly cpuShare: number;
  readonly rssBytes: number;
}

/** Measures the relay's process on this machine, through /proc. */
export class ServerProcess {
  readonly #pid: number;
  #cpuSeconds: number;
  #atMs: number;

  /** Throws a usage error when there is no such process or no /proc. */
  constructor(pid: number) {
    this.#pid = pid;
    try {
      this.#cpuSeconds = this.#readCpuSeconds();
    } catch (error) {
      throw new TowpathError('TOWPATH_USAGE', `--server-pid ${pid}: ${errorMessage(error)}`, {
        hint: 'Give the number of the relay process on this machine (Linux only); leave the flag out for a relay elsewhere.',
      });
    }
    this.#atMs = performance.now();
  }

  /** Returns the CPU share since the last call and the memory now; null once the process has ended. */
  look(): ServerUsage | null {
    try {
      const cpuSeconds = this.#readCpuSeconds();
      const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
      const nowMs = performance.now();
      const cpuShare = ((cpuSeconds - this.#cpuSeconds) * 1000) / Math.max(1, nowMs - this.#atMs);
      this.#cpuSeconds = cpuSeconds;
      this.#atMs = nowMs;
      return { cpuShare, rssBytes: residentBytesIn(status) ?? 0 };
    } catch {
      return null;
    }
  }

  #readCpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.#pid}/stat`, 'utf8');
    // The program's name, in parentheses, may contain any characters.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[UTIME_FIELD]) + Number(fields[UTIME_FIELD + 1])) / TICKS_PER_SECOND;
  }
}
