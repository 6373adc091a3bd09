/**
 * What browsers, probers and operators see over HTTP: the page of the relay, probes, captive-portal checks and
 * bootstrap DNS (this file calls them), and the administration (`admin.ts`). `server.ts` puts limits on Node's HTTP
 * server.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CharacterSet } from '../wire/character-set.ts';
import { canonicalIp } from '../base/ip-address.ts';
import {
  BROWSER_HEADERS,
  emptyPage,
  errorPage,
  guarded,
  neutralPage,
  type Page,
  type RequestHandler,
  sendPage,
  splitTarget,
  textPage,
} from './pages.ts';
import type { BootstrapDns } from './bootstrap-dns.ts';
import { derpMapPage, type PublishedDerpMap } from './derp-map-page.ts';
import type { HomePage } from './home-page.ts';
import { httpsTarget } from './https-target.ts';

export interface RelayHttpOptions {
  readonly home: HomePage;
  /** Null: no names are configured. */
  readonly bootstrapDns?: BootstrapDns | null;
  /** Null: the relay does not hand out its DERP map. */
  readonly derpMap?: PublishedDerpMap | null;
  /** The port to which browsers are sent from port 80. */
  readonly httpsPort?: number;
  /** The answer to an ACME HTTP-01 challenge, or null when the token is not one of ours. */
  readonly challengeResponse?: ((token: string) => string | null) | undefined;
  /** The client's address, canonical; by default that of the socket. */
  readonly remoteIp?: (request: IncomingMessage) => string;
}

/** The answers of one relay to HTTP requests that do not become a DERP connection. */
export interface RelayHttp {
  /** For the TLS listener (protocol reference §5.1). */
  readonly main: RequestHandler;
  /** For the listener without TLS (§5.7). */
  readonly port80: RequestHandler;
  /** Shows another home page from now on: after a reload of the configuration. */
  setHome(home: HomePage): void;
}

const CHALLENGE_PATH = '/.well-known/acme-challenge/';
const CHALLENGE_TOKEN = new CharacterSet('0-9', 'A-Z', 'a-z', '_-');
const MAX_TOKEN_LENGTH = 256;
const CAPTIVE_PORTAL_CHALLENGE = new CharacterSet('0-9', 'A-Z', 'a-z', '._:-');
const MAX_CHALLENGE_LENGTH = 64;
const NO_CACHE = 'no-cache, no-store, must-revalidate, no-transform, max-age=0';

const UPGRADE_REQUIRED = errorPage(426, 'DERP requires connection upgrade');
const PROBE_OK = emptyPage(200, { 'Access-Control-Allow-Origin': '*' });
const PROBE_METHOD = errorPage(405, 'bogus probe method');
const ROBOTS = textPage(200, 'User-agent: *\nDisallow: /\n', BROWSER_HEADERS);
const USE_HTTPS = errorPage(400, 'Use HTTPS');
const NOT_FOUND = neutralPage(404, 'Not Found');
const BAD_REQUEST = neutralPage(400, 'Bad Request');

/** Makes the request handlers of a relay. They do not handle upgrades of `/derp`. */
export function createRelayHttpHandler(options: RelayHttpOptions): RelayHttp {
  const routes = new RelayRoutes(options);
  return {
    main: guarded((request, response) => sendMain(routes, request, response)),
    port80: guarded((request, response) => sendPort80(routes, request, response)),
    setHome: (home) => {
      routes.home = home;
    },
  };
}

class RelayRoutes {
  home: HomePage;
  readonly httpsPort: number;
  readonly #options: RelayHttpOptions;

  constructor(options: RelayHttpOptions) {
    this.home = options.home;
    this.httpsPort = options.httpsPort ?? 443;
    this.#options = options;
  }

  bootstrapDns(request: IncomingMessage, query: string): Page {
    const names = this.#options.bootstrapDns ?? null;
    if (this.home.neutral && names?.configured !== true) return this.home.page;
    const headers = { ...BROWSER_HEADERS, 'Content-Type': 'application/json', Connection: 'close' };
    const q = new URLSearchParams(query).get('q');
    return { status: 200, headers, body: names?.answer(q, this.#remoteIp(request)) ?? Buffer.alloc(0) };
  }

  /** Returns the DERP map when `path` is the secret one. */
  derpMap(path: string, isPlain: boolean): Page | null {
    const map = this.#options.derpMap ?? null;
    return isPlain && map?.plainHttp !== true ? null : derpMapPage(map, path);
  }

  /**
   * Returns the answer to an ACME challenge. Null while no name is being proved this way, so that another ACME client
   * behind HTTPS may answer.
   */
  acmeChallenge(path: string): Page | null {
    const { challengeResponse } = this.#options;
    if (challengeResponse === undefined || !path.startsWith(CHALLENGE_PATH)) return null;
    const token = path.slice(CHALLENGE_PATH.length);
    const text = CHALLENGE_TOKEN.holds(token, 1, MAX_TOKEN_LENGTH) ? challengeResponse(token) : null;
    return text === null ? NOT_FOUND : textPage(200, text);
  }

  #remoteIp(request: IncomingMessage): string {
    return this.#options.remoteIp?.(request) ?? canonicalIp(request.socket.remoteAddress ?? '');
  }
}

function sendMain(routes: RelayRoutes, request: IncomingMessage, response: ServerResponse): void {
  const { path, query } = splitTarget(request.url ?? '');
  sendPage(request, response, mainPage(routes, request, path, query));
}

function mainPage(routes: RelayRoutes, request: IncomingMessage, path: string, query: string): Page {
  const { home } = routes;
  switch (path) {
    case '/derp':
      // Clients always ask for the upgrade. A request without it is a scanner's (a chosen difference from §5.1 in all
      // modes but full).
      return home.neutral ? home.page : UPGRADE_REQUIRED;
    case '/derp/probe':
    case '/derp/latency-check':
      return isRead(request) ? PROBE_OK : PROBE_METHOD;
    case '/generate_204':
      return noContent(request);
    case '/bootstrap-dns':
      return routes.bootstrapDns(request, query);
    case '/robots.txt':
      return home.neutral ? home.page : ROBOTS;
    default:
      return (isRead(request) ? routes.derpMap(path, false) : null) ?? home.page;
  }
}

function sendPort80(routes: RelayRoutes, request: IncomingMessage, response: ServerResponse): void {
  const { path, query } = splitTarget(request.url ?? '');
  sendPage(request, response, port80Page(routes, request, path, query));
}

function port80Page(routes: RelayRoutes, request: IncomingMessage, path: string, query: string): Page {
  if (path === '/generate_204') return noContent(request);
  const challenge = routes.acmeChallenge(path);
  if (challenge !== null) return challenge;
  if (!isRead(request)) return USE_HTTPS;
  const map = routes.derpMap(path, true);
  if (map !== null) return map;
  const target = httpsTarget(request.headers.host, routes.httpsPort, path, query);
  return target === null ? BAD_REQUEST : emptyPage(302, { Location: target });
}

/** The captive-portal answer (§5.4): shows a client that the answer comes from the relay and not from a portal. */
function noContent(request: IncomingMessage): Page {
  const challenge = request.headers['x-tailscale-challenge'];
  const proof =
    typeof challenge === 'string' && CAPTIVE_PORTAL_CHALLENGE.holds(challenge, 1, MAX_CHALLENGE_LENGTH)
      ? { 'X-Tailscale-Response': `response ${challenge}` }
      : {};
  return emptyPage(204, { ...proof, 'Cache-Control': NO_CACHE });
}

function isRead(request: IncomingMessage): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}
