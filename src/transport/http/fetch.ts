import type { Fetch } from '../port.ts';
import { requestHttp } from './request.ts';

/** As long as a certificate authority may take; whoever wants to wait less aborts its signal. */
const TIMEOUT_MS = 30_000;
const LIMIT_BYTES = 2_000_000;
/** Answers with these have no body, and `Response` refuses to be given one. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * Like `fetch`, for libraries that want one, through the proxy that the environment names on both runtimes. Trusts the
 * authorities in `caPem` besides the usual ones. Redirects are not followed.
 */
export function fetchTrusting(caPem: string | null): Fetch {
  return async (url, { method, headers, body, signal }) => {
    const answer = requestHttp({
      url,
      method,
      headers,
      body,
      timeoutMs: TIMEOUT_MS,
      limitBytes: LIMIT_BYTES,
      caPem: caPem ?? undefined,
    });
    const { status, headers: answered, body: bytes } = await unlessAborted(answer, signal);
    return new Response(NO_BODY.has(status) ? null : new Uint8Array(bytes), { status, headers: [...answered] });
  };
}

/** The request itself ends by its own time. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}
