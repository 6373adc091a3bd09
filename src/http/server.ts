import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { systemErrorCode } from '../base/errors.ts';
import type { Counters, RefusalReason } from '../observe/counters.ts';
import { type RequestHead, upgradeOf } from '../wire/request-head.ts';
import { errorPage, neutralPage, type Page, type RequestHandler, sendPage } from './pages.ts';
import { HeadDeadline } from './head-deadline.ts';
import { headOf } from './incoming-head.ts';
import { answering } from './pending-answers.ts';

export interface HttpServerOptions {
  /** Time for a whole request head. */
  readonly headMs?: number;
  /** Bytes that a request head may have. */
  readonly headBytes?: number;
  /** Counts invalid requests. */
  readonly counters?: Counters;
  /** Returns true when CONNECT is refused without the reference's text. */
  readonly neutral?: () => boolean;
  /**
   * Returns whether a request may be answered; a refusal is already reported. For connections that carry several
   * clients.
   */
  readonly isAllowed?: (socket: object, head: RequestHead) => boolean;
}

const DEFAULT_HEAD_MS = 10_000;
const DEFAULT_HEAD_BYTES = 8192;
/** A request body, which is not read here, may take this much longer than the head. */
const BODY_MS = 5000;
const KEEP_ALIVE_MS = 5000;
const CHECK_INTERVAL_MS = 2000;
const LATE_MS: number = CHECK_INTERVAL_MS + 1000;

/**
 * An HTTP/1 server with tight limits. It never listens: `server.emit('connection', duplex)` gives it a connection. The
 * handler of DERP listens to its `upgrade` event, which comes only for upgrades of `/derp` to `derp` or `websocket`, in
 * the first request of a connection or in a later one. All other requests are ordinary requests for `handler`.
 */
export function createHttpServer(handler: RequestHandler, options: HttpServerOptions = {}): Server {
  const headMs = options.headMs ?? DEFAULT_HEAD_MS;
  const count = (reason: RefusalReason): void => {
    if (options.counters !== undefined) options.counters.refusals[reason] += 1;
  };
  const requests = new Requests(handler, count, options.isAllowed ?? (() => true));
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
        const upgrade = server.listenerCount('upgrade') > 0 && requests.isUpgrade(request);
        if (upgrade) deadline.release(request.socket);
        return upgrade;
      },
    },
    (request, response) => requests.answer(request, response),
  );
  // No limit of the number: a header that is dropped could be the one that names the client.
  server.maxHeadersCount = 0;
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

const BAD_HEADS = {
  400: neutralPage(400, 'Bad Request'),
  501: neutralPage(501, 'Not Implemented'),
  505: neutralPage(505, 'HTTP Version Not Supported'),
};
const TOO_MANY = neutralPage(429, 'Too Many Requests');

/** Decides on each request of a server, once. */
class Requests {
  readonly #handler: RequestHandler;
  readonly #count: (reason: RefusalReason) => void;
  readonly #isAllowed: (socket: object, head: RequestHead) => boolean;
  readonly #problems = new WeakMap<IncomingMessage, Page | null>();
  /** Connections that have had their last answer. Bytes that follow are not a request. */
  readonly #ending = new WeakSet();

  constructor(
    handler: RequestHandler,
    count: (reason: RefusalReason) => void,
    isAllowed: (socket: object, head: RequestHead) => boolean,
  ) {
    this.#handler = handler;
    this.#count = count;
    this.#isAllowed = isAllowed;
  }

  /** True for the requests that become a DERP connection (§1.1). */
  isUpgrade(request: IncomingMessage): boolean {
    if (this.#ending.has(request.socket)) return false;
    const head = headOf(request);
    return !('status' in head) && upgradeOf(head) !== null && this.#problem(request) === null;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#ending.has(request.socket)) return;
    answering(request.socket, response);
    const problem = this.#problem(request);
    if (problem === null) {
      this.#handler(request, response);
    } else {
      response.setHeader('Connection', 'close');
      sendPage(request, response, problem);
    }
    if (response.getHeader('connection') === 'close') this.#ending.add(request.socket);
  }

  /** Returns the page to answer with instead of the requested one, or null. */
  #problem(request: IncomingMessage): Page | null {
    const known = this.#problems.get(request);
    if (known !== undefined) return known;
    const problem = this.#judge(request);
    this.#problems.set(request, problem);
    return problem;
  }

  #judge(request: IncomingMessage): Page | null {
    const head = headOf(request);
    if ('status' in head) {
      this.#count('head_invalid');
      return BAD_HEADS[head.status];
    }
    return this.#isAllowed(request.socket, head) ? null : TOO_MANY;
  }
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
      // Only parser errors get an answer. After any other error the connection is gone.
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
