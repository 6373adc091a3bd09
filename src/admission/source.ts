import type { AdmissionRequest } from './admission.ts';

/** Why a source does not say yes; metric labels, so they are stable. */
export const REFUSAL_REASONS = ['denied', 'unknown_key', 'unavailable', 'not_ready', 'busy'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** A no, and what the operator should know about it. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
  /** The operator chose to admit rather than to refuse when this happens. */
  readonly failsOpen: boolean;
}

/** What one source says about one key. */
export type Answer = 'yes' | Refusal;

/** A request with the key as 64 hex digits, which may be kept. */
export interface Question {
  readonly key: string;
  readonly ip: string;
  /** Whether the connection has ended, so that nobody waits for the answer any more. */
  readonly isOver?: (() => boolean) | undefined;
}

/** How a source is, for metrics, health and the admin page. */
export interface SourceState {
  /** Null when it works; otherwise what is wrong, in words. */
  readonly problem: string | null;
  /** Whether it can still tell who may come in: by itself, or by what it said before. */
  readonly isUsable: boolean;
  /** Keys it admits; null when it does not know them beforehand. */
  readonly keys: number | null;
  /** Seconds since its last good answer; null when there was none. */
  readonly ageSeconds: number | null;
}

interface BaseSource {
  readonly name: string;
  readonly kind: string;
  state(): SourceState;
  /** Resolves when the source had its first chance to learn what it needs; never rejects. */
  start(): Promise<void>;
  stop(): void;
  /** Reads its files again, or fetches its list again, now. */
  reload(): void;
  /** Calls `listener` when open connections are to be judged again. */
  onChange(listener: () => void): void;
}

/** A source that knows its keys beforehand and answers at once. */
export interface ListSource extends BaseSource {
  readonly style: 'list';
  /** Whether `key` is refused whatever other sources say. */
  denies(key: string): boolean;
  look(key: string): Answer;
}

/** A source that is asked about each key. */
export interface AskingSource extends BaseSource {
  readonly style: 'asking';
  /** Keys that are connected are asked about again after this time. */
  readonly refreshMs: number;
  /** The last answer, when it still counts. */
  remembered(question: Question): Answer | null;
  /** With `isFresh` no remembered answer will do. */
  ask(question: Question, isFresh: boolean): Promise<Answer>;
}

export type Source = ListSource | AskingSource;

/** The part of a pino logger that is used here. */
export interface AdmissionLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The part of the process clock that is used here. */
export interface TickingClock {
  readonly now: number;
  onTick(listener: (now: number) => void): () => void;
}

/** What every source is given. */
export interface SourceParts {
  readonly clock: TickingClock;
  readonly log: AdmissionLog;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

/** The request in a form that may be kept. */
export function questionOf({ key, ip, isOver }: AdmissionRequest): Question {
  return { key: key.toString('hex'), ip, isOver };
}
