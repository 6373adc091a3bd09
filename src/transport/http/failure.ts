import { errorMessage, systemErrorCode } from '../../base/errors.ts';

/**
 * Why there is no answer that can be used. `unreachable`: not one byte of an answer came. `answer`: something came, and
 * it is no proper answer. `local`: this machine or its configuration keeps the request from being made.
 */
export type HttpFailureKind = 'unreachable' | 'answer' | 'local';

/** A request that got no usable answer. The message holds neither credentials nor the URL. */
export class HttpFailure extends Error {
  readonly kind: HttpFailureKind;

  constructor(kind: HttpFailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'HttpFailure';
    this.kind = kind;
  }
}

/** What the system says when nobody is there, or has gone. Everything else is no proof that nobody answers. */
const NOBODY = /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENET(?:UNREACH|DOWN)|EHOST(?:UNREACH|DOWN)|ENOENT)$/;
const NO_NAME = /^(?:ENOTFOUND|ENODATA|ESERVFAIL|EREFUSED|ECANCELLED|EAI_(?:AGAIN|FAIL|NONAME|NODATA))$/;

/** What kept a connection from coming about. */
export function connectionFailure(error: unknown, where: string): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const code = systemErrorCode(error);
  const kind = NOBODY.test(code) || NO_NAME.test(code) ? 'unreachable' : 'local';
  return new HttpFailure(kind, `no connection${where}: ${describe(error)}`, error);
}

/** What kept TLS from coming about: nobody there is one thing, a certificate that is not trusted another. */
export function tlsFailure(error: unknown, where: string): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const kind = NOBODY.test(systemErrorCode(error)) ? 'unreachable' : 'answer';
  return new HttpFailure(kind, `no TLS connection${where}: ${describe(error)}`, error);
}

/** What ended a request; `hasHeard` says whether a byte of the answer had come. */
export function requestFailure(error: unknown, hasHeard: boolean): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (hasHeard) return new HttpFailure('answer', `the answer is no proper HTTP: ${describe(error)}`, error);
  return connectionFailure(error, '');
}

/** An error for several addresses has no words of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorMessage).join('; ');
  const message = errorMessage(error);
  return message === '' ? systemErrorCode(error) : message;
}
