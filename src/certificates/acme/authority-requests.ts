import { errorMessage } from '../../base/errors.ts';
import type { HttpAnswer, HttpRequest } from '../../transport/http/request.ts';
import { retryAfterMs } from '../../transport/http/retry-after.ts';
import { AcmeFailure } from './failure.ts';

/** Largest answer of an authority, certificate chains included. */
const LIMIT_BYTES = 1_000_000;
const REQUEST_MS = 30_000;

/** Hint for a clock that differs from the authority's clock. */
export const CLOCK_HINT = "Correct this machine's clock, for example with a time service. The relay tries again.";

/** Makes one request: {@link requestHttp}, or a replacement in tests. */
export type Requester = (request: HttpRequest) => Promise<HttpAnswer>;

/** An HTTP answer of the authority, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: HttpAnswer['headers'];
  readonly text: string;
}

/**
 * Sends a request to the authority. Rejects with an {@link AcmeFailure}: `unreachable` when there is no answer,
 * `answer` when it is too long.
 */
export async function ask(
  request: Requester,
  url: string,
  { method = 'GET', headers = {}, body = null }: Partial<Pick<HttpRequest, 'method' | 'headers' | 'body'>> = {},
): Promise<Answer> {
  const {
    status,
    headers: answered,
    body: bytes,
    isWhole,
  } = await request({
    ...{ url, method, headers, body },
    timeoutMs: REQUEST_MS,
    limitBytes: LIMIT_BYTES,
  }).catch((error: unknown) => {
    throw unreachable(url, errorMessage(error));
  });
  if (!isWhole) throw new AcmeFailure('answer', `the answer is longer than ${LIMIT_BYTES} bytes`);
  return { status, headers: answered, text: bytes.toString('utf8') };
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
      ? 'Its certificate is not trusted: for a private authority, set certificate.acme.caFile to its root certificate.'
      : 'Check that this machine can open HTTPS connections to it, and check DNS.',
  });
}

/** The parts of a directory that are used. */
export interface Directory {
  /** URL of renewal information (RFC 9773), or null. */
  readonly renewalInfo: string | null;
  readonly profiles: readonly string[];
  /** The authority's time, milliseconds since 1970, or null. */
  readonly now: number | null;
}

/** Reads the directory of the authority. Rejects with an {@link AcmeFailure} when the answer is not a directory. */
export async function readDirectory(request: Requester, url: string): Promise<Directory> {
  const { status, headers, text } = await ask(request, url);
  const value = parseObject(text);
  if (status !== 200 || value === null || typeof value['newOrder'] !== 'string') {
    throw new AcmeFailure('unreachable', `${url} answers ${status} and is not an ACME directory`, {
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

/** Parses a text as a JSON object; null when it is not one. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

/** Time of the answer by the server's clock, milliseconds since 1970, or null. */
export function timeOf(headers: Answer['headers']): number | null {
  const at = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(at) ? null : at;
}

/** How long the authority asks to wait, in milliseconds, or null. `now` is our clock, for an answer without its own time. */
export function waitMs(headers: Answer['headers'], now: number): number | null {
  return retryAfterMs(headers.get('retry-after'), timeOf(headers) ?? now);
}
