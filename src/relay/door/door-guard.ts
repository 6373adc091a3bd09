import type { RefusalReason } from '../../observe/counters.ts';

/** Why a connection is refused or ended. */
export interface GuardRefusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

/** A connection that the guard counts. */
export interface GuardedConnection {
  /** The connection must end at once, to make room for another one. */
  evicted(reason: RefusalReason, detail: string): void;
}

/** The guard's record of one connection, from `admit` to `left`. */
export interface Admitted {
  /** The connection made progress, which a connection that only takes up room does not do. */
  progressed(): void;
  /** A trusted proxy says that it belongs to `ip`. It is counted there, unless a refusal is returned. */
  movedTo(ip: string): GuardRefusal | null;
  /** Marks it as an admitted DERP connection, unless a refusal is returned. `isExempt`: no limit applies. */
  established(isExempt: boolean): GuardRefusal | null;
  /** Its descriptor is closed. May also be called after an eviction. */
  left(): void;
}

/** Accepts or refuses connections before any work is spent on them, and counts the open ones. */
export interface DoorGuard {
  /** Accepts the connection, which may end another one, or returns a refusal. */
  admit(ip: string, connection: GuardedConnection): Admitted | GuardRefusal;
  /** Counts a failure or a refusal of the client. */
  misbehaved(ip: string, reason: RefusalReason): void;
}

/** Says whether the memory limit is reached, so that no more connections are accepted. */
export interface MemoryLimit {
  readonly isFull: boolean;
  /** Checks it again; `handshakes` and `sessions` are the open connections. */
  check(handshakes: number, sessions: number): void;
}
