import type { RefusalReason } from '../../observe/counters.ts';

/** Why a connection is not let in, or is ended. */
export interface GuardRefusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

/** A connection that the guard keeps account of. */
export interface GuardedConnection {
  /** It has to make room for another one: to be ended at once. */
  evicted(reason: RefusalReason, detail: string): void;
}

/** The guard's account of one connection, from `admit` to `left`. */
export interface Admitted {
  /** Something happened that a connection which only takes up room does not do. */
  progressed(): void;
  /** It is one of `ip`, as a trusted proxy says; not if a refusal is returned. */
  movedTo(ip: string): GuardRefusal | null;
  /** It is an admitted DERP connection from now on; not if a refusal is returned. `isExempt`: no limit applies. */
  established(isExempt: boolean): GuardRefusal | null;
  /** Its descriptor is gone. Harmless when it was evicted. */
  left(): void;
}

/** Decides on connections before anything is spent on them, and keeps account of those that are open. */
export interface DoorGuard {
  /** Lets the connection in, which may end another one, or says why not. */
  admit(ip: string, connection: GuardedConnection): Admitted | GuardRefusal;
  /** Something failed or was refused that a well-behaved client does not do. */
  misbehaved(ip: string, reason: RefusalReason): void;
}

/** Tells whether the memory limit is reached, so that there must not be more connections. */
export interface MemoryLimit {
  readonly isFull: boolean;
  /** Looks at it again; `handshakes` and `sessions` are the connections that are open. */
  check(handshakes: number, sessions: number): void;
}
