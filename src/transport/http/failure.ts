import { errorMessage, systemErrorCode } from '../../base/errors.ts';

/**
 * Why there is no usable answer. `unreachable`: not one byte of an answer came. `answer`: an answer came and is
 * invalid. `local`: this machine or its configuration prevents the request.
 */
export type HttpFailureKind = 'unreachable' | 'answer' | 'local';

/** A request that got no usable answer. The message contains neither credentials nor the URL. */
export class HttpFailure extends Error {
  readonly kind: HttpFailureKind;

  constructor(kind: HttpFailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'HttpFailure';
    this.kind = kind;
  }
}

/** System errors that mean that the server does not answer. Other errors do not prove that. */
const NOBODY = /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENET(?:UNREACH|DOWN)|EHOST(?:UNREACH|DOWN)|ENOENT)$/;
const NO_NAME = /^(?:ENOTFOUND|ENODATA|ESERVFAIL|EREFUSED|ECANCELLED|EAI_(?:AGAIN|FAIL|NONAME|NODATA))$/;

/** Returns why a connection could not be opened. */
export function connectionFailure(error: unknown, where: string): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const code = systemErrorCode(error);
  const kind = NOBODY.test(code) || NO_NAME.test(code) ? 'unreachable' : 'local';
  return new HttpFailure(kind, `no connection${where}: ${describe(error)}`, error);
}

/** Returns why TLS failed. A server that does not answer and a certificate that is not trusted are different kinds. */
export function tlsFailure(error: unknown, where: string): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const kind = NOBODY.test(systemErrorCode(error)) ? 'unreachable' : 'answer';
  return new HttpFailure(kind, `no TLS connection${where}: ${describe(error)}`, error);
}

/** Returns why a request ended; `hasHeard` says whether a byte of the answer had come. */
export function requestFailure(error: unknown, hasHeard: boolean): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (hasHeard) return new HttpFailure('answer', `the answer is not valid HTTP: ${describe(error)}`, error);
  return connectionFailure(error, '');
}

/** An error for several addresses has no message of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorMessage).join('; ');
  const message = errorMessage(error);
  return message === '' ? systemErrorCode(error) : message;
}
