import { errorMessage, systemErrorCode } from '../../errors.ts';
import { HttpFailure } from '../../transport/http/failure.ts';
import { AcmeFailure } from './failure.ts';

/** No answer of a directory is larger, chains included. */
const LIMIT_BYTES = 1_000_000;
const REQUEST_MS = 30_000;

/** What to do about a clock that does not agree with the authority. */
export const CLOCK_HINT = "Set this machine's clock right, for example by running a time service. It is tried again.";

/** As much of `fetch` as is used here. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string | null;
    readonly signal: AbortSignal;
  },
) => Promise<Response>;

/** An HTTP answer of the authority, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Asks the authority. An {@link AcmeFailure} of kind `unreachable` when there is no answer. */
export async function ask(
  fetch: Fetch,
  url: string,
  request: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  } = {},
): Promise<Answer> {
  const signal = AbortSignal.timeout(REQUEST_MS);
  const { method = 'GET', headers = {}, body = null } = request;
  try {
    const response = await fetch(url, { method, headers, body, signal });
    return { status: response.status, headers: response.headers, text: await readText(response) };
  } catch (error) {
    if (error instanceof AcmeFailure) throw error;
    throw unreachable(url, signal.aborted ? `no answer within ${REQUEST_MS / 1000} s` : causeOf(error));
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const body: AsyncIterable<Uint8Array> | null = response.body;
  if (body === null) return '';
  for await (const chunk of body) {
    size += chunk.length;
    if (size > LIMIT_BYTES) throw new AcmeFailure('answer', `the answer is longer than ${LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** fetch says "fetch failed" and puts what failed into the cause, which for several addresses has only a code. */
function causeOf(error: unknown): string {
  if (error instanceof HttpFailure) return error.message;
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const message = errorMessage(cause);
  return message === '' ? systemErrorCode(cause) : message;
}

function unreachable(url: string, why: string): AcmeFailure {
  const host = URL.parse(url)?.host ?? url;
  const isDate = /certificate (?:has expired|is not yet valid)|CERT_(?:HAS_EXPIRED|NOT_YET_VALID)/i.test(why);
  if (isDate)
    return new AcmeFailure('clock', `${host} has a certificate that is not valid by this machine's clock: ${why}`, {
      hint: CLOCK_HINT,
    });
  const isTrust = /certificate|self.signed|issuer/i.test(why);
  return new AcmeFailure('unreachable', `the certificate authority at ${host} cannot be reached: ${why}`, {
    hint: isTrust
      ? 'Its own certificate is not trusted: for a private authority, name its root in certificate.acme.caFile.'
      : 'Check that this machine may open HTTPS connections to it, and its DNS.',
  });
}

/** What a directory says that matters here. */
export interface Directory {
  /** Where renewal information is (RFC 9773), or null. */
  readonly renewalInfo: string | null;
  readonly profiles: readonly string[];
  /** What its clock says, milliseconds since 1970, or null. */
  readonly now: number | null;
}

/** Reads the directory of the authority. */
export async function readDirectory(fetch: Fetch, url: string): Promise<Directory> {
  const { status, headers, text } = await ask(fetch, url);
  const value = parseObject(text);
  if (status !== 200 || value === null || typeof value['newOrder'] !== 'string') {
    throw new AcmeFailure('unreachable', `${url} answers ${status} and is no ACME directory`, {
      hint: 'Check certificate.acme.directory.',
    });
  }
  const { renewalInfo, meta } = value;
  const profiles = typeof meta === 'object' && meta !== null && 'profiles' in meta ? meta.profiles : null;
  return {
    renewalInfo: typeof renewalInfo === 'string' ? renewalInfo : null,
    profiles: typeof profiles === 'object' && profiles !== null ? Object.keys(profiles) : [],
    now: timeOf(headers),
  };
}

/** A JSON object out of a text, or null. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

/** When the answer was given by the clock of who gave it, milliseconds since 1970, or null. */
export function timeOf(headers: Headers): number | null {
  const at = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(at) ? null : at;
}

/** `Retry-After` as milliseconds from now, or null. `now` is our clock, for an answer that does not say its own time. */
export function retryAfterMs(headers: Headers, now: number): number | null {
  const value = headers.get('retry-after');
  if (value === null) return null;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - (timeOf(headers) ?? now);
  return Number.isNaN(ms) ? null : Math.max(ms, 0);
}
