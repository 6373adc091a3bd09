import type { IncomingMessage, ServerResponse } from 'node:http';

/** Answers one request. Never throws. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** A whole answer that can be given many times. */
export interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The headers that the reference sends with every page that a browser may show (protocol reference §5.2). */
export const BROWSER_HEADERS: Readonly<Record<string, string>> = {
  'Strict-Transport-Security': 'max-age=63072000; includeSubDomains',
  'Content-Security-Policy':
    "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; block-all-mixed-content; object-src 'none'",
  'X-Frame-Options': 'DENY',
  'X-Content-Type-Options': 'nosniff',
};

const EMPTY = Buffer.alloc(0);

/** Sends `page`. A request that has a body is answered without reading it, so its connection is not used again. */
export function sendPage(request: IncomingMessage, response: ServerResponse, page: Page): void {
  if (hasBody(request)) response.setHeader('Connection', 'close');
  for (const [name, value] of Object.entries(page.headers)) response.setHeader(name, value);
  response.statusCode = page.status;
  if (page.status !== 204) response.setHeader('Content-Length', page.body.length);
  response.end(page.body);
}

/** Returns an answer without a body. */
export function emptyPage(status: number, headers: Readonly<Record<string, string>> = {}): Page {
  return { status, headers, body: EMPTY };
}

/** Returns an error page with a text, in the form of the reference. */
export function errorPage(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Page {
  return textPage(status, `${message}\n`, { 'X-Content-Type-Options': 'nosniff', ...headers });
}

/** Returns a plain text page. */
export function textPage(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Page {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: Buffer.from(text) };
}

/** Returns an error page without any name, so that a scanner learns nothing from it. */
export function neutralPage(status: number, title: string): Page {
  const line = `${status} ${title}`;
  const html = [
    `<html>`,
    `<head><title>${line}</title></head>`,
    `<body>`,
    `<center><h1>${line}</h1></center>`,
    `</body>`,
    `</html>`,
    ``,
  ].join('\r\n');
  return { status, headers: { 'Content-Type': 'text/html' }, body: Buffer.from(html) };
}

/**
 * Returns path and query of a request target. The absolute form loses its scheme and host; any other target that is not
 * a path becomes `*`.
 */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const hostEnd = absoluteHostEnd(target);
  const local = target.slice(hostEnd);
  const rooted = hostEnd > 0 && !local.startsWith('/') ? `/${local}` : local;
  if (!rooted.startsWith('/')) return { path: '*', query: '' };
  const mark = rooted.indexOf('?');
  return mark < 0 ? { path: rooted, query: '' } : { path: rooted.slice(0, mark), query: rooted.slice(mark + 1) };
}

/** Returns where scheme and host of an absolute target end, or 0. */
function absoluteHostEnd(target: string): number {
  const scheme = ['http://', 'https://'].find((one) => target.slice(0, one.length).toLowerCase() === one);
  if (scheme === undefined) return 0;
  const ends = ['/', '?'].map((mark) => target.indexOf(mark, scheme.length)).filter((at) => at >= 0);
  return Math.min(target.length, ...ends);
}

/** Returns a handler that runs `handler`. An exception ends only this connection. */
export function guarded(handler: RequestHandler): RequestHandler {
  return (request, response) => {
    try {
      handler(request, response);
    } catch {
      response.destroy();
    }
  };
}

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
