import { errorMessage, systemErrorCode } from '../errors.ts';
import { SourceFailure } from './failure.ts';

/** Nobody may keep us waiting longer than this by Retry-After. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/** Characters of a refusal in words that are repeated to the operator. */
const EXPLANATION_CHARACTERS = 120;

/** One request for JSON. */
export interface JsonRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number;
  /** A longer answer is none. */
  readonly limitBytes: number;
}

/** The JSON of a 200 answer; everything else becomes a {@link SourceFailure}. Redirects are not followed. */
export async function requestJson(request: JsonRequest): Promise<unknown> {
  const { url, method, headers, timeoutMs, limitBytes } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  let response: Response;
  try {
    response = await fetch(url, { method, headers, body: request.body ?? null, redirect: 'manual', signal });
  } catch (error) {
    throw transportFailure(error, signal, timeoutMs);
  }
  const { bytes, isWhole } = await readBody(response, limitBytes, signal, timeoutMs);
  if (response.status !== 200) throw statusFailure(response, bytes);
  if (!isWhole) throw new SourceFailure('answer', `the answer is longer than ${limitBytes} bytes`);
  return parseJson(bytes);
}

async function readBody(
  response: Response,
  limitBytes: number,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      // Leaving the loop cancels the rest.
      if (size > limitBytes) return { bytes: Buffer.concat(chunks), isWhole: false };
      chunks.push(chunk);
    }
  } catch (error) {
    throw transportFailure(error, signal, timeoutMs);
  }
  return { bytes: Buffer.concat(chunks), isWhole: true };
}

/** JSON out of an answer; also for answers that did not come by fetch. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new SourceFailure('answer', 'the answer is not JSON, or not all of it');
  }
}

/** What went wrong below HTTP, in words. */
export function transportFailure(error: unknown, signal: AbortSignal, timeoutMs: number): SourceFailure {
  if (signal.aborted) return new SourceFailure('transport', `no answer within ${timeoutMs / 1000} s`);
  // fetch says "fetch failed" and puts what failed into the cause, which for several addresses is empty itself.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = systemErrorCode(cause);
  const message = errorMessage(cause);
  // Waiting does not help against that, and it must not count as an outage that opens the door.
  if (message === 'bad port') return new SourceFailure('local', 'web clients refuse to use this port; choose another');
  return new SourceFailure('transport', `no connection: ${message === '' ? code : message}`);
}

function statusFailure(response: Response, bytes: Buffer): SourceFailure {
  const { status } = response;
  const meaning =
    status === 401 || status === 403
      ? ' (is the key or token right, and has it expired?)'
      : status === 429
        ? ' (too many requests)'
        : '';
  const said = explanation(bytes);
  return new SourceFailure(
    'answer',
    `it answered ${status}${meaning}${said === '' ? '' : `: ${said}`}`,
    retryAfterMs(response.headers.get('retry-after')),
  );
}

function explanation(bytes: Buffer): string {
  const text = bytes
    .subarray(0, EXPLANATION_CHARACTERS * 4)
    .toString('utf8')
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim();
  return text.startsWith('<') ? '' : text.slice(0, EXPLANATION_CHARACTERS);
}

function retryAfterMs(header: string | null): number | null {
  if (header === null) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}
