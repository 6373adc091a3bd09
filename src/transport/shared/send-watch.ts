import type { Endpoint } from '../port.ts';
import { connectionName, readSendQueues } from './send-queues.ts';

/** How often the kernel is asked while something is watched. */
const LOOK_EVERY_MS = 500;
/**
 * A check of many connections takes time: the pause after it is at least this many times as long. Only the work on this
 * thread counts. The rest of a check is waiting, for seconds on a busy event loop.
 */
const PAUSE_FACTOR = 20;

/** A connection that seems to be stuck. */
export interface Watched {
  readonly local: Endpoint;
  /** The other end of the TCP connection itself. */
  readonly peer: Endpoint;
  /** Called at each check until it is forgotten; at the first check only when the system has no figure. */
  checked(result: CheckResult): void;
}

/** The result of a check of one connection. */
export const CheckResult = {
  /** The peer has taken bytes since the last look. */
  Moved: 0,
  /** It has taken none. */
  Still: 1,
  /** The system has no figure, or no bytes wait. */
  Unknown: 2,
} as const;
export type CheckResult = (typeof CheckResult)[keyof typeof CheckResult];

const NOT_LOOKED_AT = -1;
const UNKNOWN = -2;

/**
 * Tells slow peers from dead ones: checks whether the peers of connections that seem to be stuck acknowledge bytes. A
 * write that does not end proves little: the kernel holds up to 4 MiB, and wakes the writer when a third of that is
 * free, which takes a slow reader minutes. The timer runs only while there is something to watch.
 */
export class SendWatch {
  readonly #read: typeof readSendQueues;
  /** Bytes that waited in the kernel at the last look. */
  readonly #watched = new Map<Watched, number>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  /** `read` is replaced in tests. */
  constructor(read: typeof readSendQueues = readSendQueues) {
    this.#read = read;
  }

  /** Checks `connection` from now on. */
  watch(connection: Watched): void {
    if (this.#watched.has(connection)) return;
    this.#watched.set(connection, NOT_LOOKED_AT);
    if (this.#timer === undefined && !this.#isLooking) this.#lookAfter(0);
  }

  /** Stops checking it; does nothing when it is not watched. */
  forget(connection: Watched): void {
    if (!this.#watched.delete(connection) || this.#watched.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookAfter(ms: number): void {
    this.#timer = setTimeout(() => void this.#look(), ms).unref();
  }

  async #look(): Promise<void> {
    const work = { ms: 0 };
    this.#timer = undefined;
    this.#isLooking = true;
    let queues: ReadonlyMap<string, number> | null;
    try {
      queues = await this.#read(work);
    } catch {
      queues = null;
    }
    this.#isLooking = false;
    if (this.#watched.size > 0) this.#lookAfter(Math.max(LOOK_EVERY_MS, PAUSE_FACTOR * work.ms));
    for (const [connection, before] of this.#watched) {
      const bytes = queues?.get(connectionName(connection.local, connection.peer)) ?? UNKNOWN;
      this.#watched.set(connection, bytes);
      if (bytes === UNKNOWN) connection.checked(CheckResult.Unknown);
      else if (before >= 0) connection.checked(before === bytes ? CheckResult.Still : CheckResult.Moved);
    }
  }
}

/** The watch of this thread's connections. */
export const sendWatch: SendWatch = new SendWatch();
