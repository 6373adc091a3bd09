import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { systemErrorCode } from '../errors.ts';
import type { Counters, RefusalReason } from '../observe/counters.ts';
import { errorPage, neutralPage, type Page, type RequestHandler } from './answers.ts';
import { HeadDeadline } from './head-deadline.ts';

export interface HttpServerOptions {
  /** Time for a whole request head. */
  readonly headMs?: number;
  /** Bytes that a request head may have. */
  readonly headBytes?: number;
  /** Counts the requests that are none. */
  readonly counters?: Counters;
  /** When it returns true, CONNECT is refused without the reference's words. */
  readonly neutral?: () => boolean;
}

const DEFAULT_HEAD_MS = 10_000;
const DEFAULT_HEAD_BYTES = 8192;
/** A request body, which nobody here reads, may take this much longer than the head. */
const BODY_MS = 5000;
const KEEP_ALIVE_MS = 5000;
const CHECK_INTERVAL_MS = 2000;
const LATE_MS: number = CHECK_INTERVAL_MS + 1000;

/**
 * An HTTP/1 server with tight limits. It never listens: `server.emit('connection', duplex)` gives it a connection.
 * Who handles DERP listens to its `upgrade` event, which comes for upgrades of `/derp` to `derp` or `websocket`
 * only; all others are ordinary requests for `handler`.
 */
export function createHttpServer(handler: RequestHandler, options: HttpServerOptions = {}): Server {
  const headMs = options.headMs ?? DEFAULT_HEAD_MS;
  const count = (reason: RefusalReason): void => {
    if (options.counters !== undefined) options.counters.refusals[reason] += 1;
  };
  // Later than Node's own deadlines, which answer before they close.
  const deadline = new HeadDeadline(headMs + LATE_MS, KEEP_ALIVE_MS + headMs + LATE_MS, () => count('head_timeout'));
  const server: Server = createServer(
    {
      headersTimeout: headMs,
      requestTimeout: headMs + BODY_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, headMs),
      maxHeaderSize: options.headBytes ?? DEFAULT_HEAD_BYTES,
      insecureHTTPParser: false,
      // The handlers decide: a neutral server answers the same with and without a Host header.
      requireHostHeader: false,
      shouldUpgradeCallback: (request) => {
        const upgrade = server.listenerCount('upgrade') > 0 && isDerpUpgrade(request);
        if (upgrade) deadline.release(request.socket);
        return upgrade;
      },
    },
    handler,
  );
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    endWith(
      socket,
      options.neutral?.() === true ? neutralPage(403, 'Forbidden') : errorPage(403, 'CONNECT not enabled'),
    );
  });
  server.on('clientError', (error: Error, socket: Duplex) => {
    const { reason, page } = headError(systemErrorCode(error));
    if (reason !== null) count(reason);
    if (page === null || !socket.writable) socket.destroy();
    else endWith(socket, page);
  });
  deadline.watch(server);
  // Node starts to check the time-outs when a server listens, which this one never does.
  server.emit('listening');
  return server;
}

/** True for the requests that become a DERP connection: an upgrade of `/derp` to `derp` or `websocket` (§1.1). */
function isDerpUpgrade(request: IncomingMessage): boolean {
  const wanted = request.headers.upgrade?.toLowerCase();
  const target = request.url ?? '';
  return (wanted === 'derp' || wanted === 'websocket') && (target === '/derp' || target.startsWith('/derp?'));
}

interface HeadError {
  readonly reason: RefusalReason | null;
  readonly page: Page | null;
}

function headError(code: string): HeadError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { reason: 'head_timeout', page: neutralPage(408, 'Request Timeout') };
    case 'HPE_HEADER_OVERFLOW':
      return { reason: 'head_too_large', page: neutralPage(431, 'Request Header Fields Too Large') };
    default:
      // Parser errors alone have something to answer to; the others mean that the connection is gone.
      return code.startsWith('HPE_')
        ? { reason: 'head_invalid', page: neutralPage(400, 'Bad Request') }
        : { reason: null, page: null };
  }
}

/** Writes `page` by hand, where there is no response object, and closes. */
function endWith(socket: Duplex, page: Page): void {
  const title = { 400: 'Bad Request', 403: 'Forbidden', 408: 'Request Timeout' }[page.status];
  const head = [
    `HTTP/1.1 ${page.status} ${title ?? 'Request Header Fields Too Large'}`,
    ...Object.entries(page.headers).map(([name, value]) => `${name}: ${value}`),
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
    `Content-Length: ${page.body.length}`,
    '\r\n',
  ].join('\r\n');
  socket.on('error', () => undefined);
  socket.end(Buffer.concat([Buffer.from(head, 'latin1'), page.body]), () => socket.destroy());
}
