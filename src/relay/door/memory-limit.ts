import type { MemoryLimit } from './door-guard.ts';

export interface CountedMemoryParts {
  /** Beyond this there must not be more connections. 0: no limit. */
  readonly limitBytes: number;
  /** What one connection costs on this runtime. */
  readonly connectionBytes: number;
  /** What waits for all connections together. */
  readonly queuedBytes: () => number;
  /** Of the process. */
  readonly residentBytes: () => number;
  /** Told at each look why there is no room for more clients, or null. */
  readonly judged: (problem: string | null) => void;
}

/**
 * Resident memory stays high for minutes after what needed it is gone. It counts only while connections are known to
 * need this part of what there is for them, and no longer when that has fallen below the second.
 */
const EXPLAINED_SHARE = 0.7;
const UNEXPLAINED_SHARE = 0.6;
/** What connections need must have fallen to this part of what there is for them before there is room again. */
const ROOM_SHARE = 0.9;

/** Judges memory by what is known to be in use: what the process needed at its start, connections and their queues. */
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
