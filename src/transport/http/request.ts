import { Agent, request as startRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { errorMessage } from '../../base/errors.ts';
import { dial, proxyAuthorization, type Route } from './dial.ts';
import { HttpFailure, requestFailure } from './failure.ts';
import { chooseProxy, ProxyVariableError, type Environment, type ProxyChoice } from './proxy-choice.ts';

/** One request. */
export interface HttpRequest {
  /** `http:` or `https:`, without user and password. */
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | null;
  /** Time limit from the start to the last byte of the answer. */
  readonly timeoutMs: number;
  /** A longer body is cut at this length, and `isWhole` is false. */
  readonly limitBytes: number;
  /** A Unix socket instead of the host of the URL. */
  readonly socketPath?: string;
  /** An authority to trust in addition to the usual ones, PEM. */
  readonly caPem?: string | undefined;
  /** Has the proxy variables; null never uses a proxy. The environment of the process by default. */
  readonly environment?: Environment | null;
}

/** An answer with a valid head. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** False when the body is longer than the limit. */
  readonly isWhole: boolean;
}

/** Some servers send gzip although the request did not ask for it. Other codings are refused. */
const unzip = promisify(gunzip);
/** Largest number of interim (1xx) answers before the real one. */
const INTERIM_ANSWERS = 16;
const IDLE_MS = 4000;
const IDLE_CONNECTIONS = 32;
/** Largest number of servers whose connections are kept; a configuration names a few. */
const AGENTS = 64;

/**
 * Makes one request, over a connection that is kept for the next one, through the proxy that the environment names.
 * Redirects are not followed. Rejects with an {@link HttpFailure}, which says whether there was any answer. The `fetch`
 * of the two runtimes cannot say that.
 */
export async function requestHttp(request: HttpRequest): Promise<HttpAnswer> {
  const target = new URL(request.url);
  const route: Route = {
    target,
    proxy: request.socketPath === undefined ? proxyFor(target, request) : null,
    socketPath: request.socketPath ?? null,
    caPem: request.caPem ?? null,
    timeoutMs: request.timeoutMs,
  };
  const exchange = new Exchange(request, route);
  const answer = await exchange.run(agentFor(route));
  // The server closed a kept connection at the moment it was used again.
  return answer ?? (await new Exchange(request, route).run(newAgent(route, false)))!;
}

function proxyFor(target: URL, { environment = process.env }: HttpRequest): ProxyChoice | null {
  try {
    return environment === null ? null : chooseProxy(target, environment);
  } catch (error) {
    if (error instanceof ProxyVariableError) throw new HttpFailure('local', error.message, error);
    throw error;
  }
}

/** One attempt at a request. */
class Exchange {
  readonly #request: HttpRequest;
  readonly #route: Route;
  #hasHeard = false;
  #interim = 0;

  constructor(request: HttpRequest, route: Route) {
    this.#request = request;
    this.#route = route;
  }

  /** Null: try again over a new connection. */
  async run(agent: Agent): Promise<HttpAnswer | null> {
    let outgoing: ClientRequest | undefined;
    let timer: NodeJS.Timeout | undefined;
    const { timeoutMs } = this.#request;
    const late = new Promise<never>((_, reject) => {
      // Bytes that have arrived are read first: a busy process must not blame its own delay on the server.
      timer = setTimeout(() => setImmediate(() => reject(this.#late(timeoutMs))), timeoutMs);
    });
    try {
      outgoing = startRequest(this.#options(agent));
      return await Promise.race([this.#exchange(outgoing), late]);
    } catch (error) {
      outgoing?.destroy();
      const isStale = outgoing?.reusedSocket === true && !this.#hasHeard && !(error instanceof HttpFailure);
      if (isStale) return null;
      throw requestFailure(error, this.#hasHeard);
    } finally {
      clearTimeout(timer);
    }
  }

  #options(agent: Agent): object {
    const { method, headers, url } = this.#request;
    const { target, proxy } = this.#route;
    const isForwarded = proxy !== null && target.protocol === 'http:';
    const authorization = isForwarded ? proxyAuthorization(proxy.url) : null;
    return {
      agent,
      method,
      // The agent knows the route; this is only for its messages.
      host: target.hostname,
      path: isForwarded ? url.split('#')[0] : `${target.pathname}${target.search}`,
      headers: {
        Host: target.host,
        ...headers,
        ...(authorization === null ? {} : { 'Proxy-Authorization': authorization }),
      },
    };
  }

  async #exchange(outgoing: ClientRequest): Promise<HttpAnswer> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('socket', (socket: Duplex) => socket.once('data', () => (this.#hasHeard = true)));
      outgoing.on('information', () => {
        if (++this.#interim > INTERIM_ANSWERS) {
          reject(new HttpFailure('answer', `more than ${INTERIM_ANSWERS} interim answers and no real one`));
        }
      });
      // The request did not ask for another protocol.
      outgoing.on('upgrade', () => reject(new HttpFailure('answer', 'it changes to another protocol')));
      outgoing.on('response', resolve).on('error', reject);
      outgoing.on('close', () => reject(new HttpFailure(this.#hasHeard ? 'answer' : 'unreachable', 'no answer')));
      outgoing.end(this.#request.body ?? undefined);
    });
    this.#hasHeard = true;
    const { body, isWhole } = await readBody(response, this.#request.limitBytes).catch((error: unknown) => {
      throw new HttpFailure('answer', `the answer was cut short: ${errorMessage(error)}`, error);
    });
    const { statusCode: status = 0, headersDistinct } = response;
    const headers = new Map(Object.entries(headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]));
    return { status, headers, ...(await decoded(headers, body, isWhole, this.#request.limitBytes)) };
  }

  #late(timeoutMs: number): HttpFailure {
    const seconds = timeoutMs / 1000;
    return this.#hasHeard
      ? new HttpFailure('answer', `the answer did not end within ${seconds} s`)
      : new HttpFailure('unreachable', `no answer within ${seconds} s`);
  }
}

interface Body {
  readonly body: Buffer;
  readonly isWhole: boolean;
}

async function readBody(response: IncomingMessage, limitBytes: number): Promise<Body> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop ends the connection.
    if (size > limitBytes) return { body: Buffer.concat(chunks), isWhole: false };
    chunks.push(chunk);
  }
  if (!response.complete) throw new Error('its end is missing');
  return { body: Buffer.concat(chunks), isWhole: true };
}

async function decoded(
  headers: ReadonlyMap<string, string>,
  body: Buffer,
  isWhole: boolean,
  limitBytes: number,
): Promise<Body> {
  const coding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (coding === 'identity' || coding === '' || !isWhole) return { body, isWhole };
  if (coding !== 'gzip') throw new HttpFailure('answer', 'the answer has a Content-Encoding that was not asked for');
  try {
    return { body: await unzip(body, { maxOutputLength: limitBytes }), isWhole: true };
  } catch (error) {
    if (error instanceof RangeError) return { body: Buffer.alloc(0), isWhole: false };
    throw new HttpFailure('answer', 'the answer is not valid gzip', error);
  }
}

/** Gives requests their connections, all to one server. */
class RouteAgent extends Agent {
  readonly #route: Route;

  constructor(route: Route, keepAlive: boolean) {
    super({ keepAlive, maxFreeSockets: IDLE_CONNECTIONS, timeout: IDLE_MS });
    this.#route = route;
  }

  override createConnection(
    _options: unknown,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const done = callback as (error: Error | null, stream?: Duplex) => void;
    dial(this.#route).then(
      (socket) => done(null, socket),
      (error: unknown) => done(error as Error),
    );
    return undefined;
  }
}

function newAgent(route: Route, keepAlive: boolean): Agent {
  return new RouteAgent(route, keepAlive);
}

const agents = new Map<string, Agent>();

function agentFor(route: Route): Agent {
  const { target, proxy, socketPath, caPem, timeoutMs } = route;
  const name = JSON.stringify([target.origin, proxy?.url.href, socketPath, caPem, timeoutMs]);
  let agent = agents.get(name);
  if (agent === undefined) {
    if (agents.size >= AGENTS) {
      for (const old of agents.values()) old.destroy();
      agents.clear();
    }
    agent = newAgent(route, true);
    agents.set(name, agent);
  }
  return agent;
}
