/**
 * What kept a source from answering: no connection, an answer that is none, or something on this machine. Only the
 * first is forgiven by `failOpen`, as in derper (protocol reference §4.9).
 */
export type FailureKind = 'transport' | 'answer' | 'local';

/** A source could not answer. The message is for the operator and holds no secret. */
export class SourceFailure extends Error {
  readonly kind: FailureKind;
  /** The other side asked to be left alone for this long. */
  readonly retryAfterMs: number | null;

  constructor(kind: FailureKind, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.name = 'SourceFailure';
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}
