import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { Readable } from 'node:stream';
import { getCACertificates } from 'node:tls';
import type { Fetch } from '../port.ts';

/** Answers with these have no body, and `Response` refuses to be given one. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Like `fetch`, with further authorities: Node's own takes none for one request. Redirects are not followed. */
export function fetchTrusting(caPem: string): Fetch {
  const ca = [...getCACertificates('default'), caPem];
  return async (url, { method, headers, body, signal }) => {
    const sent = request(url, { method, headers, signal, ca, agent: false });
    const answered = once(sent, 'response');
    sent.end(body ?? undefined);
    const [response] = (await answered) as [IncomingMessage];
    const { statusCode: status = 0, headersDistinct } = response;
    const entries = Object.entries(headersDistinct).flatMap(([name, values]) =>
      (values ?? []).map((value): [string, string] => [name, value]),
    );
    if (NO_BODY.has(status)) response.resume();
    return new Response(NO_BODY.has(status) ? null : bodyOf(response), { status, headers: entries });
  };
}

function bodyOf(response: IncomingMessage): ReadableStream<Uint8Array> {
  return Readable.toWeb(response) as ReadableStream<Uint8Array>;
}
