import { HttpFailure } from '../transport/http/failure.ts';
import { requestHttp, type HttpAnswer } from '../transport/http/request.ts';
import { retryAfterMs } from '../transport/http/retry-after.ts';
import { parseForeignJson, RepeatedKeyError } from '../wire/json.ts';
import { SourceFailure, type FailureKind } from './failure.ts';
import { redactUrl } from '../base/redact-url.ts';

/** Longest Retry-After that is obeyed. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/** Most characters of a server's error text that are logged, and most bytes of the body that are read for it. */
const EXPLANATION_CHARACTERS = 120;
const EXPLANATION_BYTES = 4096;
const MASK = '********';

/** One request for JSON. */
export interface JsonRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly timeoutMs: number;
  /** Largest answer in bytes; a longer one is an error. */
  readonly limitBytes: number;
  /** The secret in the request, which must not appear in messages, or null. */
  readonly secret: string | null;
  /** The keys of the answer that are read. An answer with one of them twice in one object is malformed. */
  readonly decisive: readonly string[];
}

/** The answer of a source, with any status. */
export interface SourceRequest extends Omit<JsonRequest, 'secret' | 'decisive'> {
  readonly socketPath?: string;
}

const KINDS: Readonly<Record<HttpFailure['kind'], FailureKind>> = {
  unreachable: 'transport',
  answer: 'answer',
  local: 'local',
};

/** JSON, and the time of the answer by the service's clock, in milliseconds since 1970; null when it was not sent. */
export interface DatedJson {
  readonly value: unknown;
  readonly answeredAt: number | null;
}

/** Returns the JSON of a 200 answer. Rejects with a {@link SourceFailure} for everything else. Redirects are not followed. */
export async function requestJson(request: JsonRequest): Promise<unknown> {
  return (await requestDatedJson(request)).value;
}

/** Does what {@link requestJson} does, and returns the service's time too, because our clock may be wrong. */
export async function requestDatedJson(request: JsonRequest): Promise<DatedJson> {
  const answer = await askSource(request);
  const where = redactUrl(request.url);
  if (answer.status !== 200) throw statusFailure(answer, where, request.secret);
  if (!answer.isWhole) throw tooLong(where, request.limitBytes);
  const answeredAt = Date.parse(answer.headers.get('date') ?? '');
  return {
    value: parseJson(answer.body, where, request.decisive),
    answeredAt: Number.isNaN(answeredAt) ? null : answeredAt,
  };
}

/** Returns the answer to a request, with any status. Throws a {@link SourceFailure} with the URL when there is none. */
export async function askSource(request: SourceRequest): Promise<HttpAnswer> {
  try {
    return await requestHttp(request);
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    throw new SourceFailure(KINDS[error.kind], `${request.socketPath ?? redactUrl(request.url)}: ${error.message}`);
  }
}

/** Returns the failure for an answer that is too long. */
export function tooLong(where: string, limitBytes: number): SourceFailure {
  return new SourceFailure('answer', `${where}: the answer is longer than ${limitBytes} bytes`);
}

/**
 * Parses an answer as JSON in which no object has one of the keys `decisive` twice. Throws a {@link SourceFailure} that
 * starts with `where`.
 */
export function parseJson(bytes: Buffer, where: string, decisive: readonly string[]): unknown {
  try {
    return parseForeignJson(bytes, decisive);
  } catch (error) {
    if (error instanceof RepeatedKeyError)
      throw new SourceFailure('answer', `${where}: in the answer, ${error.message}`);
    throw new SourceFailure('answer', `${where}: the answer is not JSON, or it is incomplete`);
  }
}

function statusFailure({ status, headers, body }: HttpAnswer, where: string, secret: string | null): SourceFailure {
  const said = explanation(body, secret);
  const text = `${where}: it answered ${status}${meaningOf(status, headers)}${said === '' ? '' : `: ${said}`}`;
  const waitMs = retryAfterMs(headers.get('retry-after'), Date.now());
  return new SourceFailure('answer', text, waitMs === null ? null : Math.min(waitMs, LONGEST_RETRY_AFTER_MS));
}

function meaningOf(status: number, headers: HttpAnswer['headers']): string {
  if (status === 401 || status === 403) return ' (is the key or token right, and has it expired?)';
  if (status === 404) return ' (is the path of the URL right?)';
  if (status === 429) return ' (too many requests)';
  const location = headers.get('location');
  if (status < 300 || status > 399 || location === undefined) return '';
  return ` (redirects are not followed; the target is ${redactUrl(location)})`;
}

function explanation(bytes: Buffer, secret: string | null): string {
  const text = bytes.subarray(0, EXPLANATION_BYTES).toString('utf8');
  // A service may repeat the secret from the request.
  const masked = secret === null || secret === '' ? text : text.replaceAll(secret, MASK);
  const plain = masked.replaceAll(/[^\x20-\x7e]+/g, ' ').trim();
  return plain.startsWith('<') ? '' : plain.slice(0, EXPLANATION_CHARACTERS);
}
