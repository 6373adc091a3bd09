import { closeSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { errorMessage } from '../base/errors.ts';
import { FIRST_FD, type Environment } from './inherited-sockets.ts';

/** The message of the next process to the previous one when it accepts clients. */
export const ACCEPTS = 'accepts\n';
/** Time between two checks whether the previous process has ended. */
const POLL_MS = 10;

/** The process that started this one to be replaced by it (see next-process.ts). */
export class PreviousProcess {
  readonly #pid: number;
  readonly #fd: number;

  constructor(pid: number, fd: number) {
    this.#pid = pid;
    this.#fd = fd;
  }

  /**
   * Tells the previous process that this one accepts clients, so that it drains and ends. Resolves when it has ended,
   * and its other ports are free. Throws an Error when that is unknown.
   */
  async takeOver(): Promise<void> {
    if (process.ppid !== this.#pid) return;
    try {
      writeSync(this.#fd, ACCEPTS);
      closeSync(this.#fd);
    } catch (error) {
      // It has ended meanwhile, or it continues. Then a port that both processes need cannot be opened, and that error
      // is shown.
      throw new Error(`the previous process is unknown: ${errorMessage(error)}`, { cause: error });
    }
    while (process.ppid === this.#pid) await delay(POLL_MS);
  }
}

/**
 * Returns the process that this one replaces (`LISTEN_PREVIOUS_PID`), or null. Leaves the variables to
 * `takeInheritedSockets`.
 */
export function previousProcess(env: Environment = process.env, ppid: number = process.ppid): PreviousProcess | null {
  const { LISTEN_PREVIOUS_PID: pid = '', LISTEN_FDS: count = '' } = env;
  if (pid !== String(ppid) || !/^\d{1,2}$/.test(count)) return null;
  return new PreviousProcess(ppid, FIRST_FD + Number(count));
}
