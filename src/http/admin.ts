import type { IncomingMessage } from 'node:http';
import { API_PREFIX } from '../api/shapes.ts';
import { TowpathError } from '../base/errors.ts';
import type { Health } from '../observe/health.ts';
import { ipFamily } from '../base/ip-address.ts';
import { errorPage, guarded, type Page, type RequestHandler, sendPage, splitTarget, textPage } from './pages.ts';
import { ApiError, errorJson } from './api/api-error.ts';
import type { ApiRouter } from './api/router.ts';
import { hostOf } from './https-target.ts';

export interface AdminOptions {
  /** The metrics registry. */
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
  readonly health: Health;
  /** Names, besides `localhost`, under which the listener may be asked, for example that of a container. */
  readonly hostNames?: readonly string[];
  /** Absent: there is no JSON API. */
  readonly api?: ApiRouter;
  /** Further pages by their path. */
  readonly pages?: Readonly<Record<string, AdminPage>>;
}

/**
 * A page of a part of the server, as text for people and as JSON for programs; both may be promises. A TowpathError says
 * what is wrong with the query.
 */
export interface AdminPage {
  /** What the index says about it. */
  readonly help: string;
  readonly text: (query: URLSearchParams) => string | Promise<string>;
  readonly json: (query: URLSearchParams) => unknown;
}

const OWN_PAGES: readonly (readonly [string, string])[] = [
  ['/metrics', 'Prometheus metrics'],
  ['/healthz', '200 while the process runs'],
  ['/readyz', '200 when it is ready for clients, else 503 with the reasons'],
];
const HEALTHY = textPage(200, 'ok\n');
const HOST_RULE = 'Ask by IP address or as localhost';
const WRONG_HOST = errorPage(403, HOST_RULE);
const WRONG_HOST_JSON = errorJson(new ApiError(403, 'host', HOST_RULE));
const WRONG_METHOD = errorPage(405, 'GET or HEAD only', { Allow: 'GET, HEAD' });
const UNKNOWN = errorPage(404, 'Not found');
const PAGE_FAILED = errorPage(500, 'The page cannot be made');
const METRICS_FAILED = errorPage(500, 'The metrics cannot be read');

/**
 * Makes the handler of the administration listener. It knows no password, so it answers only those who ask for an IP
 * address or `localhost`: a web page that made its own name point here (DNS rebinding) gets nothing. It closes each
 * connection after its answer.
 */
export function createAdminHandler(options: AdminOptions): RequestHandler {
  const allowed = new Set(['localhost', ...(options.hostNames ?? []).map((name) => name.toLowerCase())]);
  return guarded((request, response) => {
    response.setHeader('Connection', 'close');
    response.setHeader('Cache-Control', 'no-store');
    const { path, query } = splitTarget(request.url ?? '');
    if (options.api !== undefined && path.startsWith(API_PREFIX)) {
      if (isAllowedHost(allowed, request.headers.host)) options.api.handle(request, response, path, query);
      else sendPage(request, response, WRONG_HOST_JSON);
      return;
    }
    const page = adminPage(options, allowed, request);
    if (!(page instanceof Promise)) {
      sendPage(request, response, page);
      return;
    }
    void page.then((made) => guarded(() => sendPage(request, response, made))(request, response));
  });
}

/** A promise never rejects. */
function adminPage(
  options: AdminOptions,
  allowed: ReadonlySet<string>,
  request: IncomingMessage,
): Page | Promise<Page> {
  if (!isAllowedHost(allowed, request.headers.host)) return WRONG_HOST;
  if (request.method !== 'GET' && request.method !== 'HEAD') return WRONG_METHOD;
  const { path, query } = splitTarget(request.url ?? '');
  const page = options.pages?.[path];
  if (page !== undefined) return partPage(page, new URLSearchParams(query));
  switch (path) {
    case '/':
      return indexPage(options.pages ?? {});
    case '/healthz':
      return HEALTHY;
    case '/readyz':
      return readiness(options.health);
    case '/metrics':
      return metricsPage(options.metrics);
    default:
      return UNKNOWN;
  }
}

function indexPage(pages: Readonly<Record<string, AdminPage>>): Page {
  const all = [
    ...OWN_PAGES,
    ...Object.entries(pages).map(([path, { help }]) => [path, `${help}; ?format=json`] as const),
  ];
  const width = Math.max(...all.map(([path]) => path.length));
  return textPage(
    200,
    ['towpath administration', '', ...all.map(([path, help]) => `${path.padEnd(width)}  ${help}`), ''].join('\n'),
  );
}

async function partPage(page: AdminPage, query: URLSearchParams): Promise<Page> {
  try {
    if (query.get('format') !== 'json') return textPage(200, await page.text(query));
    const body = Buffer.from(`${JSON.stringify(await page.json(query), null, 2)}\n`);
    return { status: 200, headers: { 'Content-Type': 'application/json' }, body };
  } catch (error) {
    if (!(error instanceof TowpathError)) return PAGE_FAILED;
    return errorPage(400, error.hint === undefined ? error.message : `${error.message}. ${error.hint}`);
  }
}

function isAllowedHost(allowed: ReadonlySet<string>, header: string | undefined): boolean {
  const host = hostOf(header);
  if (host === null) return false;
  const bare = host.startsWith('[') ? host.slice(1, -1) : host.toLowerCase();
  return ipFamily(bare) !== 0 || allowed.has(bare);
}

function readiness(health: Health): Page {
  if (health.ready) return textPage(200, 'ready\n');
  return textPage(
    503,
    health
      .problems()
      .map(({ name, problem }) => `${name}: ${problem}\n`)
      .join(''),
  );
}

async function metricsPage(metrics: AdminOptions['metrics']): Promise<Page> {
  try {
    const text = await metrics.metrics();
    return { status: 200, headers: { 'Content-Type': metrics.contentType }, body: Buffer.from(text) };
  } catch {
    return METRICS_FAILED;
  }
}
