import type { IncomingMessage, ServerResponse } from 'node:http';
import { API_PREFIX, type ActionBodies, type ActionName } from '../../api/shapes.ts';
import type { Clock } from '../../base/clock.ts';
import { internalError } from '../../base/errors.ts';
import { guarded, sendPage, type Page } from '../pages.ts';
import { actionProblem } from './action-origin.ts';
import { ApiError, errorJson, jsonPage } from './api-error.ts';
import { LiveEventStreams, MOST_VIEWERS } from './events.ts';
import type { AdminApi } from './port.ts';
import { readJsonBody } from './request-body.ts';

const CONNECTIONS = 'connections/';
const ACTIONS: Readonly<Record<ActionName, true>> = {
  disconnect: true,
  deny: true,
  limit: true,
  reload: true,
  drain: true,
};
const ACTION_PREFIX = 'actions/';

type Read = (api: AdminApi, parameters: URLSearchParams) => unknown;

const READS: Readonly<Record<string, Read>> = {
  status: (api) => api.status(),
  connections: (api, parameters) => api.connections(api.connectionQuery(parameters)),
  'udp-sessions': (api, parameters) => api.udpSessions(parameters),
  mesh: (api) => api.mesh(),
  threads: (api) => api.threads(),
  'udp-use': (api, parameters) => api.udpUse(parameters),
  certificate: (api) => api.certificate(),
  admission: (api) => api.admission(),
  limits: (api) => api.limits(),
  refusals: (api) => api.refusals(),
  history: (api) => api.history(),
};

/** Answers requests below `/api/v1/`. The caller has checked that the client has access. */
export class ApiRouter {
  readonly #api: AdminApi;
  readonly #events: LiveEventStreams;

  constructor(api: AdminApi, clock: Clock) {
    this.#api = api;
    this.#events = new LiveEventStreams(api, clock);
  }

  /** Answers one request for `path`, which begins with {@link API_PREFIX}. */
  handle(request: IncomingMessage, response: ServerResponse, path: string, query: string): void {
    const name = path.slice(API_PREFIX.length);
    const send = (page: Page): void => guarded(() => sendPage(request, response, page))(request, response);
    if (name === 'events' && request.method === 'GET') {
      this.#stream(response, new URLSearchParams(query), send);
      return;
    }
    this.#answer(request, name, new URLSearchParams(query)).then(send, (error: unknown) => send(failure(error)));
  }

  async #answer(request: IncomingMessage, name: string, parameters: URLSearchParams): Promise<Page> {
    if (name.startsWith(ACTION_PREFIX)) return this.#act(request, name.slice(ACTION_PREFIX.length));
    const read = Object.hasOwn(READS, name) ? READS[name] : undefined;
    const isOne = name.startsWith(CONNECTIONS);
    if (read === undefined && !isOne && name !== 'events') {
      throw new ApiError(404, 'unknown_path', `there is no ${API_PREFIX}${name}`, 'See docs/openapi.yaml.');
    }
    if (name === 'events') return METHOD_EVENTS;
    if (request.method !== 'GET' && request.method !== 'HEAD') return METHOD_READ;
    if (read !== undefined) return jsonPage(200, await read(this.#api, parameters));
    const row = this.#api.connection(name.slice(CONNECTIONS.length));
    if (row === null) throw new ApiError(404, 'no_connection', 'there is no such connection any more');
    return jsonPage(200, row);
  }

  async #act(request: IncomingMessage, name: string): Promise<Page> {
    if (!isAction(name)) throw new ApiError(404, 'unknown_action', 'there is no such action', 'See docs/openapi.yaml.');
    if (request.method !== 'POST') return METHOD_ACTION;
    const problem = actionProblem(request);
    if (problem !== null) throw problem;
    const body = await readJsonBody(request);
    return jsonPage(200, await this.#api.act(name, body, clientOf(request)));
  }

  #stream(response: ServerResponse, parameters: URLSearchParams, send: (page: Page) => void): void {
    try {
      const query = parameters.size === 0 ? null : this.#api.connectionQuery(parameters);
      if (this.#events.open(response, query)) return;
      throw new ApiError(503, 'too_many_viewers', `${MOST_VIEWERS} viewers get live updates already`);
    } catch (error) {
      send(failure(error));
    }
  }
}

const METHOD_READ = errorJson(new ApiError(405, 'method', 'GET or HEAD only'), { Allow: 'GET, HEAD' });
const METHOD_EVENTS = errorJson(new ApiError(405, 'method', 'GET only'), { Allow: 'GET' });
const METHOD_ACTION = errorJson(new ApiError(405, 'method', 'POST only'), { Allow: 'POST' });
const FAILED = errorJson(new ApiError(500, 'internal', 'the answer cannot be made; the log may say why'));

function failure(error: unknown): Page {
  if (error instanceof ApiError) return errorJson(error);
  internalError('admin API', error);
  return FAILED;
}

function isAction(name: string): name is keyof ActionBodies {
  return Object.hasOwn(ACTIONS, name);
}

/** Returns the client as the log names it. */
function clientOf({ socket }: IncomingMessage): string {
  const { remoteAddress = '', remotePort = 0 } = socket;
  return remoteAddress === '' ? 'unix socket' : `${remoteAddress} port ${remotePort}`;
}
