/**
 * Why an exchange with a control server failed. `unreachable`: no answer came, or that of a server that does not
 * work now (5xx). `refused`: the server refused.
 * `protocol`: its answer breaks the protocol. `busy`: it asked for a pause. `unknown-node`: it does not know this node,
 * which must register again. `auth-key`: the node has to register with its auth key, which cannot be read.
 */
export type ControlErrorKind = 'unreachable' | 'refused' | 'protocol' | 'busy' | 'unknown-node' | 'auth-key';

/** A failed exchange with a control server. The message contains no secret. */
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
