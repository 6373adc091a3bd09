/**
 * Admission decides which clients may use the relay. A source is a list of keys, a list that is fetched, or a service that
 * is asked about each key. A new source implements {@link ListSource} or {@link AskingSource} and is opened in `open.ts`.
 * `source-admission.ts` makes one decision of those of all sources (the rules are in `judge.ts`).
 */
import type { NodeFacts } from './node-facts.ts';
import type { AdmissionRequest } from '../relay/session/admission.ts';
import type { EventLog } from '../base/event-log.ts';
import type { TickingClock } from '../base/clock.ts';

/** Why a source does not admit a key; these are metric labels, so they are stable. */
export const REFUSAL_REASONS = ['denied', 'unknown_key', 'unavailable', 'not_ready', 'busy'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** A refusal, with text for the operator. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
  /** True when `failOpen` admits the client in this case. */
  readonly failsOpen: boolean;
}

/** The decision of one source about one key. */
export type Answer = 'yes' | Refusal;

/** What a service says about one key: no, yes, or yes with what it knows of the node. */
export type Reply = boolean | NodeFacts;

/** A request with the key as 64 hex digits; it may be stored. */
export interface Question {
  readonly key: string;
  readonly ip: string;
  /** Whether the connection has ended, so that the answer is not needed. */
  readonly isOver?: (() => boolean) | undefined;
}

/** The state of a source, for metrics, health and the admin page. */
export interface SourceState {
  /** Null when it works; otherwise the problem as text. */
  readonly problem: string | null;
  /** Whether it can still decide: because it answers, or because its last answer is still valid. */
  readonly isUsable: boolean;
  /** Number of keys it admits; null when it has no list. */
  readonly keys: number | null;
  /** Seconds since its last good answer; null when there was none. */
  readonly ageSeconds: number | null;
}

interface BaseSource {
  readonly name: string;
  readonly kind: string;
  state(): SourceState;
  /** What it knows of a key that it admits; null when it knows nothing of it. */
  facts(key: string): NodeFacts | null;
  /** Resolves when the source has tried to get what it needs once; never rejects. */
  start(): Promise<void>;
  stop(): void;
  /** Reads its files again, or fetches its list again, now. */
  reload(): void;
  /** Calls `listener` when open connections must be reviewed. */
  onChange(listener: () => void): void;
}

/** A source that has a list of keys and answers at once. */
export interface ListSource extends BaseSource {
  readonly style: 'list';
  /** Whether `key` is denied, even if other sources admit it. */
  denies(key: string): boolean;
  look(key: string): Answer;
}

/** A source that is asked about each key. */
export interface AskingSource extends BaseSource {
  readonly style: 'asking';
  /** Connected keys are checked again after this time. */
  readonly refreshMs: number;
  /** The last answer, if it is still valid. */
  remembered(question: Question): Answer | null;
  /** With `isFresh`, a stored answer is not used. */
  ask(question: Question, isFresh: boolean): Promise<Answer>;
}

export type Source = ListSource | AskingSource;

/** What every source needs. */
export interface SourceParts {
  readonly clock: TickingClock;
  readonly log: EventLog;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** The request in a form that may be stored. */
export function questionOf({ key, ip, isOver }: AdmissionRequest): Question {
  return { key: key.toString('hex'), ip, isOver };
}
