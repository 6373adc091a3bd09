import type { Admission } from './admission.ts';
import type { Clock } from '../../base/clock.ts';
import type { TimingWheel } from '../../base/timing-wheel.ts';
import type { KeyLimits } from '../fairness/key-limits.ts';
import type { ByteRate } from '../fairness/byte-bucket.ts';
import type { WakeList } from '../../base/wake-list.ts';
import type { Counters, RefusalReason } from '../../observe/counters.ts';
import type { GuardRefusal } from '../door/door-guard.ts';
import type { Recipient } from '../routing/recipient.ts';
import type { Router } from '../routing/router.ts';
import type { Endpoint, Stream } from '../../transport/port.ts';
import type { NodeKeyPair } from '../../wire/keys.ts';
import type { DeadlineLimits } from './deadlines.ts';
import type { QueueSpace } from './frame-queue.ts';
import type { KeyTrafficTable } from './key-traffic.ts';
import type { LoopTurn } from './loop-turn.ts';
import type { OutboxLimits } from './outbox.ts';

/** Limits of one connection. Each comes from the configuration key of the same name under `limits`. */
export interface SessionLimits extends OutboxLimits, DeadlineLimits, KeepAlivePeriods {
  /** Most bytes that are read from one connection of weight 1 in one turn of the event loop. */
  readonly readBudgetBytes: number;
}

/** Periods of KeepAlive frames, before jitter. */
export interface KeepAlivePeriods {
  readonly keepAliveMs: number;
  /** Period for a connection through a proxy. */
  readonly keepAliveBehindProxyMs: number;
}

/** Receives events for the log, which it rate-limits itself. */
export interface SessionReporter {
  /** A connection was refused or ended by this relay. `key` is null before it was proved. */
  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void;
  /** `app` is the name of the client's program, empty when it gave none. */
  opened(remote: Endpoint, key: Buffer, app: string): void;
  closed(remote: Endpoint, key: Buffer, reason: string): void;
}

/** The parts that all sessions share. */
export interface SessionContext {
  readonly clock: Clock;
  /** The deadlines of all sessions. */
  readonly wheel: TimingWheel;
  readonly counters: Counters;
  readonly turn: LoopTurn;
  /** The memory of all outboxes. */
  readonly space: QueueSpace;
  readonly wakes: WakeList;
  readonly router: Router;
  readonly admission: Admission;
  /** Names of programs that are refused. */
  deniedApps: ReadonlySet<string>;
  readonly limits: SessionLimits;
  readonly keyPair: NodeKeyPair;
  readonly reporter: SessionReporter;
  /** Called for an admitted client: returns why its connection is refused nevertheless, or null. */
  readonly mayOpen: (stream: Stream, isMesh: boolean) => GuardRefusal | null;
  /** Takes the remaining traffic of a session when it ends. */
  readonly traffic: KeyTrafficTable;
  /** A session has ended; called once for each. */
  readonly ended: (session: Recipient) => void;
  /** The mesh keys that are accepted, 32 bytes each; none: this relay has no mesh. */
  meshKeys: readonly Buffer[];
  /** Rate limits of each key, and its share of the relay's total. */
  keyLimits: KeyLimits;
  /** The rate of keys without limits of their own, announced in ServerInfo; 0 bytes per second means no limit. */
  rate: ByteRate;
}
