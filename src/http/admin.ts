import type { IncomingMessage } from 'node:http';
import { API_PREFIX } from '../api/shapes.ts';
import { TowpathError } from '../base/errors.ts';
import type { Health } from '../observe/health.ts';
import { errorPage, guarded, type Page, type RequestHandler, sendPage, splitTarget, textPage } from './pages.ts';
import type { AdminAccess } from './admin-access.ts';
import { type ApiError, errorJson } from './api/api-error.ts';
import type { ApiRouter } from './api/router.ts';
import { STATUS_PAGE } from './page/status-page.ts';

export interface AdminOptions {
  /** The metrics registry. */
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
  readonly health: Health;
  readonly access: AdminAccess;
  /** Called for each refused request, with the reason. */
  readonly refused: (request: IncomingMessage, why: string) => void;
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
const WRONG_METHOD = errorPage(405, 'GET or HEAD only', { Allow: 'GET, HEAD' });
const UNKNOWN = errorPage(404, 'Not found');
/** Without the reasons: only clients with access may see them. */
const NOT_READY = textPage(503, 'not ready\n');
const PAGE_FAILED = errorPage(500, 'The page cannot be made');
const METRICS_FAILED = errorPage(500, 'The metrics cannot be read');

/** Makes the handler of the admin listener. It closes each connection after its answer. */
export function createAdminHandler(options: AdminOptions): RequestHandler {
  const { access, refused, api } = options;
  return guarded((request, response) => {
    response.setHeader('Connection', 'close');
    response.setHeader('Cache-Control', 'no-store');
    const { path, query } = splitTarget(request.url ?? '');
    const isApi = api !== undefined && path.startsWith(API_PREFIX);
    const refusal = access.refusal(request, path);
    if (refusal !== null) {
      refused(request, refusal.message);
      sendPage(request, response, refusalPage(refusal, isApi));
      return;
    }
    if (isApi) {
      api.handle(request, response, path, query);
      return;
    }
    const page = adminPage(options, request);
    if (!(page instanceof Promise)) {
      sendPage(request, response, page);
      return;
    }
    void page.then((made) => guarded(() => sendPage(request, response, made))(request, response));
  });
}

function refusalPage(refusal: ApiError, isApi: boolean): Page {
  const headers: Record<string, string> = refusal.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {};
  return isApi ? errorJson(refusal, headers) : errorPage(refusal.status, refusal.message, headers);
}

/** Returns the page for a request. Its promise never rejects. */
function adminPage(options: AdminOptions, request: IncomingMessage): Page | Promise<Page> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return WRONG_METHOD;
  const { path, query } = splitTarget(request.url ?? '');
  const page = options.pages?.[path];
  if (page !== undefined) return partPage(page, new URLSearchParams(query));
  const own = STATUS_PAGE.get(path);
  // A program in a terminal gets the list of paths in place of the page.
  if (own !== undefined && (path !== '/' || wantsHtml(request))) return own;
  switch (path) {
    case '/':
      return indexPage(options.pages ?? {});
    case '/healthz':
      return HEALTHY;
    case '/readyz':
      return readiness(options.health, options.access.isTrusted(request));
    case '/metrics':
      return metricsPage(options.metrics);
    default:
      return UNKNOWN;
  }
}

function wantsHtml({ headers }: IncomingMessage): boolean {
  return (headers.accept ?? '').includes('text/html');
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

function readiness(health: Health, isTrusted: boolean): Page {
  const notes = isTrusted ? health.notes().map(({ name, problem }) => `note: ${name}: ${problem}\n`) : [];
  if (health.ready) return textPage(200, ['ready\n', ...notes].join(''));
  if (!isTrusted) return NOT_READY;
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
