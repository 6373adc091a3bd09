import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { systemErrorCode } from '../../base/errors.ts';
import { ipFamily } from '../../base/ip-address.ts';
import { connectionFailure, HttpFailure, tlsFailure } from './failure.ts';
import type { ProxyChoice } from './proxy-choice.ts';

/** How a request gets to its server. */
export interface Route {
  /** The server; its path does not matter. */
  readonly target: URL;
  readonly proxy: ProxyChoice | null;
  /** A Unix socket instead of host and port. */
  readonly socketPath: string | null;
  /** An authority to trust in addition to the usual ones, PEM. */
  readonly caPem: string | null;
  /** Time limit for DNS, TCP, proxy and TLS together. */
  readonly timeoutMs: number;
}

/** Time for one of several addresses before the next is tried, as in the DERP client. */
const ADDRESS_ATTEMPT_MS = 1000;
/** The head of a proxy's answer to CONNECT. */
const PROXY_HEAD_BYTES = 16 * 1024;

/** Opens a connection over which HTTP requests to the target of `route` can go. Rejects with an {@link HttpFailure}. */
export async function dial(route: Route): Promise<Duplex> {
  const opened: Duplex[] = [];
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
    for (const socket of opened) socket.destroy(new Error('timeout'));
  }, route.timeoutMs);
  try {
    return await open(route, (socket) => opened.push(socket.on('error', ignore)));
  } catch (error) {
    for (const socket of opened) socket.destroy();
    if (late.signal.aborted)
      throw new HttpFailure('unreachable', `no connection within ${route.timeoutMs / 1000} s`, error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

type Keep = (socket: Duplex) => void;

async function open(route: Route, keep: Keep): Promise<Duplex> {
  const { target, proxy, socketPath, caPem } = route;
  if (socketPath !== null) return unixSocket(socketPath, keep);
  if (proxy === null) {
    const socket = await tcp(hostAndPort(target), '', keep);
    return target.protocol === 'https:' ? secure(socket, target, caPem, '', keep) : socket;
  }
  const where = ` to the proxy ${proxy.url.host} (${proxy.variable})`;
  let socket = await tcp(hostAndPort(proxy.url), where, keep);
  if (proxy.url.protocol === 'https:') socket = await secure(socket, proxy.url, null, where, keep);
  if (target.protocol === 'http:') return socket;
  await tunnel(socket, target, proxy);
  return secure(socket, target, caPem, '', keep);
}

function tcp(to: { readonly host: string; readonly port: number }, where: string, keep: Keep): Promise<Duplex> {
  const options = { noDelay: true, keepAlive: true, autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS };
  const socket = connectTcp({ ...options, ...to });
  keep(socket);
  return settled(socket, 'connect', (error) => connectionFailure(error, where));
}

const SOCKET_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; is its service running?',
  ECONNREFUSED: 'no program answers there; is its service running?',
  EACCES: 'this user may not open the socket',
};

function unixSocket(path: string, keep: Keep): Promise<Duplex> {
  const socket = connectTcp({ path });
  keep(socket);
  return settled(socket, 'connect', (error) => {
    const failure = connectionFailure(error, '');
    const meaning = SOCKET_PROBLEMS[systemErrorCode(error)];
    return meaning === undefined ? failure : new HttpFailure(failure.kind, meaning, error);
  });
}

async function secure(
  socket: Duplex,
  { hostname }: URL,
  caPem: string | null,
  where: string,
  keep: Keep,
): Promise<Duplex> {
  const host = bare(hostname);
  const servername = ipFamily(host) === 0 ? host : '';
  const context = caPem === null ? {} : { secureContext: contextTrusting(caPem) };
  const tls = connectTls({
    socket,
    host,
    minVersion: 'TLSv1.2',
    ...context,
    ...(servername === '' ? {} : { servername }),
  });
  keep(tls);
  return settled(tls, 'secureConnect', (error) => tlsFailure(error, where));
}

/** Asks a proxy for a connection to the target (RFC 9110 §9.3.6), and reads exactly the head of its answer. */
async function tunnel(socket: Duplex, target: URL, { url, variable }: ProxyChoice): Promise<void> {
  const { hostname, port } = target;
  const where = `${hostname}:${port === '' ? '443' : port}`;
  const authorization = proxyAuthorization(url);
  const lines = [`CONNECT ${where} HTTP/1.1`, `Host: ${where}`];
  if (authorization !== null) lines.push(`Proxy-Authorization: ${authorization}`);
  const who = `the proxy ${url.host} (${variable})`;
  const status = await new Promise<string>((resolve, reject) => {
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0 && head.length <= PROXY_HEAD_BYTES) return;
      socket.pause().off('data', onData).off('close', onClose);
      // Bytes after the head cannot come from the server: it waits for us to send first.
      if (end !== head.length - 4) reject(new HttpFailure('answer', `${who} does not speak HTTP`));
      else resolve(head.toString('latin1', 0, Math.min(head.indexOf('\r\n'), 64)));
    };
    const onClose = (): void => reject(new HttpFailure('unreachable', `${who} closed the connection`));
    socket.on('data', onData).on('close', onClose);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  });
  const code = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(status)?.[1];
  if (code === undefined) throw new HttpFailure('answer', `${who} does not speak HTTP`);
  if (!code.startsWith('2')) throw new HttpFailure('answer', `${who} answered ${code} to CONNECT ${where}`);
}

/** The value of `Proxy-Authorization`, or null. */
export function proxyAuthorization({ username, password }: URL): string | null {
  if (username === '' && password === '') return null;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

function settled<T extends Duplex>(socket: T, event: string, failure: (error: unknown) => HttpFailure): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = (): void => void socket.off(event, done).off('error', fail).off('close', onClose);
    const done = (): void => {
      forget();
      resolve(socket);
    };
    const fail = (error: unknown): void => {
      forget();
      reject(failure(error));
    };
    const onClose = (): void => fail(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    socket.on(event, done).on('error', fail).on('close', onClose);
  });
}

const contexts = new Map<string, SecureContext>();

/**
 * Returns a shared context for each authority, because making one costs as much as a handshake. The configuration has
 * one authority.
 */
function contextTrusting(caPem: string): SecureContext {
  let context = contexts.get(caPem);
  if (context === undefined) {
    context = createSecureContext({ minVersion: 'TLSv1.2', ca: [...getCACertificates('default'), caPem] });
    contexts.clear();
    contexts.set(caPem, context);
  }
  return context;
}

function hostAndPort({ hostname, port, protocol }: URL): { host: string; port: number } {
  return { host: bare(hostname), port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

/** A host without the brackets of an IPv6 address. */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

function ignore(): void {}
