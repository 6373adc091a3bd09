import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { errorMessage } from '../base/errors.ts';
import { dial } from '../transport/http/dial.ts';
import { chooseProxy } from '../transport/http/proxy-choice.ts';
import { ControlError } from './control-error.ts';
import { fetchControlKey } from './control-key.ts';
import type { ControlServer } from './control-server.ts';
import { initiate, NOISE_HEADER_BYTES, NoiseMessage, RESPONSE_BODY_BYTES, type NoiseKeys } from './noise.ts';
import { NoiseStream } from './noise-stream.ts';
import { SocketReader } from './socket-reader.ts';

/** Largest head of the answer to the upgrade, with the headers of proxies. */
const HEAD_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';
/** Largest part of a refusal's text that is read. */
const EXPLANATION_BYTES = 1024;
/** Receive window: the first map of a large network would be slow with HTTP/2's 64 KiB. */
const WINDOW_BYTES = 16 * 1024 * 1024;
const UPGRADE = 'tailscale-control-protocol';

/** The answer to one request. */
export interface ControlAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

/** The limits of a request, and its method. */
export interface RequestLimits {
  readonly timeoutMs: number;
  /** Largest body of the answer, in bytes. */
  readonly limitBytes: number;
  /** POST by default. */
  readonly method?: 'HEAD' | 'POST';
}

/** Something that makes requests over a control connection. */
export interface NoiseRequest {
  request(path: string, body: object | string | null, limits: RequestLimits): Promise<ControlAnswer>;
}

/** Receives one answer in pieces. */
export interface AnswerHandler {
  head(status: number, retryAfter: string | undefined): void;
  /** Throws to end the stream. */
  data(chunk: Buffer): void;
  /** The stream has ended; null when the server ended it in the normal way. Called once. */
  ended(error: Error | null): void;
}

/** A connection to a control server, for any number of requests at once (peer-relay reference §13). */
export class ControlConnection {
  readonly #session: ClientHttp2Session;
  readonly #authority: string;

  private constructor(session: ClientHttp2Session, authority: string) {
    this.#session = session;
    this.#authority = authority;
    // Each request gets the error by itself.
    session.on('error', () => session.destroy());
    session.on('goaway', () => session.close());
  }

  /** Connects. Rejects with a {@link ControlError}, and at once when `signal` is aborted. */
  static async open(server: ControlServer, signal: AbortSignal): Promise<ControlConnection> {
    const opening = ControlConnection.#open(server);
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => {
      stopped.reject(new ControlError('unreachable', 'stopped'));
      void opening.then(
        (connection) => connection.close(),
        () => undefined,
      );
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await Promise.race([opening, stopped.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  static async #open(server: ControlServer): Promise<ControlConnection> {
    const serverKey = await fetchControlKey(server);
    const stream = await openNoise(server, serverKey);
    const session = connectHttp2(`https://${server.url.host}`, {
      createConnection: () => stream,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    session.on('connect', () => {
      // The session may have ended before this is called.
      if (!session.destroyed) session.setLocalWindowSize(WINDOW_BYTES);
    });
    return new ControlConnection(session, server.url.host);
  }

  /** False when no further request can be made. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /**
   * Makes one request. An object is sent as JSON, text and bytes as they are, null without a body. Rejects with a
   * {@link ControlError} when there is no answer of at most `limitBytes`.
   */
  request(path: string, body: object | string | null, limits: RequestLimits): Promise<ControlAnswer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      let status = 0;
      let retryAfter: string | undefined;
      const handler: AnswerHandler = {
        head: (code, after) => {
          status = code;
          retryAfter = after;
        },
        data: (chunk) => {
          size += chunk.length;
          if (size > limits.limitBytes)
            throw new ControlError('protocol', `the answer to ${path} is longer than ${limits.limitBytes} bytes`);
          chunks.push(chunk);
        },
        ended: (error) => {
          clearTimeout(timer);
          if (error === null && status !== 0) resolve({ status, retryAfter, body: Buffer.concat(chunks) });
          else reject(asControlError(error ?? new Error(`no answer to ${path}`)));
        },
      };
      const cancel = this.stream(path, body, handler, limits.method);
      const timer = setTimeout(() => {
        cancel(new ControlError('unreachable', `no answer to ${path} within ${limits.timeoutMs / 1000} s`));
      }, limits.timeoutMs);
    });
  }

  /** Makes one request and passes its answer on as it comes; returns a function that ends it with an error. */
  stream(
    path: string,
    body: object | string | null,
    handler: AnswerHandler,
    method: 'HEAD' | 'POST' = 'POST',
  ): (error: Error) => void {
    let isOver = false;
    let stream: ClientHttp2Stream | null = null;
    const end = (error: Error | null): void => {
      if (isOver) return;
      isOver = true;
      stream?.close(error === null ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
      handler.ended(error);
    };
    const guarded = (step: () => void): void => {
      if (isOver) return;
      try {
        step();
      } catch (error) {
        end(error as Error);
      }
    };
    try {
      stream = this.#session.request({
        [constants.HTTP2_HEADER_METHOD]: method,
        [constants.HTTP2_HEADER_SCHEME]: 'https',
        [constants.HTTP2_HEADER_AUTHORITY]: this.#authority,
        [constants.HTTP2_HEADER_PATH]: path,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/json',
      });
    } catch (error) {
      queueMicrotask(() => end(error as Error));
      return end;
    }
    const started = stream;
    stream.on('response', (headers) => {
      guarded(() => handler.head(headers[':status'] ?? 0, headers['retry-after']));
      // Set here, because Node may have the first bytes before the head.
      started.on('data', (chunk: Buffer) => guarded(() => handler.data(chunk)));
    });
    stream.on('end', () => end(null));
    stream.on('aborted', () => end(new Error('the control server cut its answer short')));
    stream.on('error', (error: Error) => end(error));
    stream.on('close', () => end(new Error('the connection was closed')));
    if (body === null) stream.end();
    else stream.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
    return end;
  }

  /** Ends the connection at once; open requests end with an error. */
  close(): void {
    this.#session.destroy();
  }
}

/** Turns any error of a request into a ControlError. */
export function asControlError(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  return new ControlError('unreachable', errorMessage(error), null, error);
}

/** Requests the upgrade (§13.2) and completes the Noise handshake. */
async function openNoise(server: ControlServer, serverKey: Buffer): Promise<Duplex> {
  const { url, version, machine } = server;
  const initiation = handshake(() => initiate(version, machine, serverKey));
  const target = new URL('/ts2021', url);
  // A proxy that forwards plain requests would not forward an upgrade.
  const proxy = url.protocol === 'https:' ? chooseProxy(target, server.environment) : null;
  const socket = await dial({
    target,
    proxy,
    socketPath: null,
    caPem: server.caPem,
    timeoutMs: server.timeoutMs,
  }).catch((error: unknown) => {
    throw asControlError(error);
  });
  const reader = new SocketReader(socket, server.timeoutMs);
  try {
    const lines = [
      `POST ${target.pathname} HTTP/1.1`,
      `Host: ${target.host}`,
      'User-Agent: towpath',
      'Connection: upgrade',
      `Upgrade: ${UPGRADE}`,
      `X-Tailscale-Handshake: ${initiation.message.toString('base64')}`,
      'Content-Length: 0',
    ];
    socket.write(lines.join('\r\n') + HEAD_END);
    checkUpgrade((await reader.until(HEAD_END, HEAD_BYTES)).toString('latin1'));
    const keys = await readResponse(reader, (body) => initiation.finish(body));
    return new NoiseStream(socket, keys, reader.release());
  } catch (error) {
    socket.destroy();
    throw asControlError(error);
  }
}

function checkUpgrade(head: string): void {
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(head)?.[1];
  if (status === undefined) throw new ControlError('protocol', 'the control server does not speak HTTP');
  if (status !== '101') {
    throw new ControlError(
      'protocol',
      `the control server answered ${status} to the upgrade of /ts2021; a proxy in front of it must pass on the headers Upgrade and Connection`,
    );
  }
  if (!/\r\nupgrade:[ \t]*tailscale-control-protocol[ \t]*\r\n/i.test(head))
    throw new ControlError('protocol', 'the control server upgraded to another protocol');
}

async function readResponse(reader: SocketReader, finish: (body: Buffer) => NoiseKeys): Promise<NoiseKeys> {
  const header = await reader.exactly(NOISE_HEADER_BYTES);
  const length = header.readUInt16BE(1);
  if (header[0] === NoiseMessage.Error) {
    const said = await reader.exactly(Math.min(length, EXPLANATION_BYTES));
    throw new ControlError(
      'refused',
      `the control server refuses the handshake: ${errorMessage(said.toString('utf8'))}`,
    );
  }
  if (header[0] !== NoiseMessage.Response || length !== RESPONSE_BODY_BYTES)
    throw new ControlError('protocol', 'the control server sent something that is not a handshake');
  const body = await reader.exactly(length);
  return handshake(() => finish(body));
}

function handshake<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw new ControlError(
      'protocol',
      `the handshake with the control server failed: ${errorMessage(error)}; is the clock or a proxy in between at fault?`,
      null,
      error,
    );
  }
}
