import type { CounterValues } from '../../observe/counters.ts';
import type { Relay } from '../../relay/relay.ts';
import type { RelayThreadProcess } from './relay-thread.ts';

/** The ends of a relay thread by faults. */
interface ThreadFault {
  readonly restarts: number;
  /** When it last ended, milliseconds since 1970; null: never. */
  readonly endedAtMs: number | null;
  readonly problem: string | null;
}

/** One relay thread as it is now. */
export interface ThreadState extends ThreadFault {
  /** 0 is the main thread. */
  readonly index: number;
  readonly isRunning: boolean;
  /** The counts since its start; null: none yet. */
  readonly counters: CounterValues | null;
  readonly queuedBytes: number;
}

const NONE: ThreadFault = { restarts: 0, endedAtMs: null, problem: null };

/** The faults of the relay threads by their index. */
export class ThreadFaults {
  readonly #faults = new Map<number, ThreadFault>();

  /** Number of restarts of all threads. */
  get restarts(): number {
    return [...this.#faults.values()].reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /** Returns the faults of a thread. */
  of(index: number): ThreadFault {
    return this.#faults.get(index) ?? NONE;
  }

  /** Records that a thread has ended by a fault. */
  ended(index: number, problem: string): void {
    this.#faults.set(index, { ...this.of(index), endedAtMs: Date.now(), problem });
  }

  /** Records that a thread was started again. */
  restarted(index: number): void {
    const before = this.of(index);
    this.#faults.set(index, { ...before, restarts: before.restarts + 1 });
  }
}

/** Returns the state of the service's thread, which is a relay thread too. */
export function mainThreadState({ counters, queuedBytes }: Relay): ThreadState {
  return { index: 0, isRunning: true, counters, queuedBytes, ...NONE };
}

/** Returns the state of another thread; null: it does not run now. */
export function threadState(index: number, thread: RelayThreadProcess | null, fault: ThreadFault): ThreadState {
  const { counters, queuedBytes } = thread ?? { counters: null, queuedBytes: 0 };
  return { index, isRunning: thread !== null, counters, queuedBytes, ...fault };
}
