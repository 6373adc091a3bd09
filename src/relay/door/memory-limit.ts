import type { MemoryLimit } from './door-guard.ts';

export interface CountedMemoryParts {
  /** Limit in bytes; above it no more connections are accepted. 0: no limit. */
  readonly limitBytes: number;
  /** Memory of one connection on this runtime, in bytes. */
  readonly connectionBytes: number;
  /** Returns the queued bytes of all connections together. */
  readonly queuedBytes: () => number;
  /** Of the process. */
  readonly residentBytes: () => number;
  /** Called at each check with the reason why there is no room for more clients, or null. */
  readonly judged: (problem: string | null) => void;
}

/**
 * Resident memory stays high for minutes after its cause has ended. It counts only from the time when connections are
 * known to need the first part of their room, until that falls below the second part.
 */
const EXPLAINED_SHARE = 0.7;
const UNEXPLAINED_SHARE = 0.6;
/** The need of connections must fall to this part of their room before more are accepted. */
const ROOM_SHARE = 0.9;

/** Judges memory by known use: the memory at the start, connections and their queues. */
export class CountedMemory implements MemoryLimit {
  readonly #parts: CountedMemoryParts;
  #ownBytes = Infinity;
  #isFull = false;

  constructor(parts: CountedMemoryParts) {
    this.#parts = parts;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  check(handshakes: number, sessions: number): void {
    const { limitBytes, connectionBytes, queuedBytes, residentBytes, judged } = this.#parts;
    if (limitBytes === 0) return;
    const usedBytes = (handshakes + sessions) * connectionBytes + queuedBytes();
    const resident = residentBytes();
    this.#ownBytes = Math.min(this.#ownBytes, Math.max(resident - usedBytes, 0));
    this.#isFull = this.#isOver(usedBytes, limitBytes - this.#ownBytes, resident > limitBytes);
    judged(
      this.#isFull
        ? 'more memory is in use than limits.memoryMegabytes allows: the relay accepts no more clients'
        : null,
    );
  }

  /** `room` is what there is for connections. */
  #isOver(used: number, room: number, isResidentOver: boolean): boolean {
    if (used > room) return true;
    if (this.#isFull && used > room * ROOM_SHARE) return true;
    return isResidentOver && used > room * (this.#isFull ? UNEXPLAINED_SHARE : EXPLAINED_SHARE);
  }
}
