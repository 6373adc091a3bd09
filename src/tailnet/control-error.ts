/**
 * What ended an exchange with a control server. `unreachable`: no answer came. `refused`: it said no. `protocol`: its
 * answer breaks the rules. `busy`: it asked to be left alone for a while. `unknown-node`: it does not know this node (any
 * more), so that the node must register again.
 */
export type ControlErrorKind = 'unreachable' | 'refused' | 'protocol' | 'busy' | 'unknown-node';

/** An exchange with a control server that came to nothing. The message holds no secret. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly kind: ControlErrorKind;
  /** How long the server asked us to wait, or null. */
  readonly retryAfterMs: number | null;

  constructor(kind: ControlErrorKind, message: string, retryAfterMs: number | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}
