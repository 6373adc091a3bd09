/**
 * Why a source did not answer: no connection, an invalid answer, or a fault of this machine. Only for the
 * first one `failOpen` admits the client, as in derper (protocol reference §4.9).
 */
export type FailureKind = 'transport' | 'answer' | 'local';

/** A source could not answer. The message is for the operator and contains no secret. */
export class SourceFailure extends Error {
  readonly kind: FailureKind;
  /** Pause before the next request, if the server asked for one (Retry-After). */
  readonly retryAfterMs: number | null;

  constructor(kind: FailureKind, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.name = 'SourceFailure';
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}
