import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { zstdCompressSync } from 'node:zlib';
import { respond } from './noise-responder.ts';
import { NoiseStream } from '../../src/tailnet/noise-stream.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';

/** A JSON body of a node. */
export type Body = Readonly<Record<string, unknown>>;

/** The answer of the server to a request: a JSON body, or a status with headers and text. */
type Answer = Body | { readonly status: number; readonly headers?: Record<string, string>; readonly text?: string };

/** An open map stream. */
export interface MapStream {
  readonly request: Body;
  /** Sends one frame. */
  send(frame: object): void;
  /** Sends bytes as they are. */
  raw(bytes: Buffer): void;
  end(): void;
}

/** The behaviour of the server; a test may change it at any time. */
export interface Behaviour {
  register: (body: Body) => Answer | Promise<Answer>;
  /** Answers the update request; null: 200 without a body. */
  update: (body: Body) => Answer | null;
  /** Null accepts the stream. */
  map: (body: Body) => Answer | null;
  /** Called for each accepted stream. */
  streamed: (stream: MapStream) => void;
  earlyPayload: Buffer | null;
  /** Answer of `/key` instead of the key. */
  key: string | null;
  /** Bytes instead of the response to the handshake. */
  handshake: Buffer | null;
}

/** A control server for tests: ts2021 with the roles swapped (peer-relay reference §16.5). */
export class FakeControl {
  readonly behaviour: Behaviour = {
    register: () => ({ MachineAuthorized: true }),
    update: () => null,
    map: () => null,
    streamed: () => {},
    earlyPayload: null,
    key: null,
    handshake: null,
  };
  readonly registrations: Body[] = [];
  readonly updates: Body[] = [];
  /** Requests for other paths, such as answers to pings: `HEAD /x`, `POST /y BODY`; `noise` first over a control connection. */
  readonly others: string[] = [];
  readonly #keys = generateNodeKeyPair();
  readonly #http: Server;
  readonly #http2: Http2Server = createHttp2Server({ settings: { maxConcurrentStreams: 100 } });
  readonly #open = new Set<Duplex>();
  readonly #sessions = new Set<Http2Session>();
  #streams: MapStream[] = [];

  private constructor() {
    this.#http = createHttpServer((request, response) => {
      if (request.url?.startsWith('/key?v=') === true) {
        response.end(
          this.behaviour.key ?? JSON.stringify({ publicKey: `mkey:${this.#keys.publicKey.toString('hex')}` }),
        );
        return;
      }
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.others.push(`${request.method} ${request.url} ${Buffer.concat(chunks).toString('utf8')}`.trim());
        response.end();
      });
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http2.on('stream', (stream, headers) => {
      // The client may disconnect before the answer.
      this.#serve(stream, String(headers[':path']), String(headers[':method'])).catch(() => {});
    });
    this.#http2.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
    });
    this.#http2.on('sessionError', () => {});
  }

  static async start(): Promise<FakeControl> {
    const fake = new FakeControl();
    await new Promise<void>((resolve) => fake.#http.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Sends a frame on every open map stream. */
  broadcast(frame: object): void {
    for (const stream of this.#streams) stream.send(frame);
  }

  /** Sends an HTTP/2 ping on all connections. */
  ping(): void {
    for (const session of this.#sessions) if (!session.closed) session.ping(() => {});
  }

  /** Ends all connections; accepts new ones. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket)).on('error', () => {});
    const initiation = Buffer.from(String(request.headers['x-tailscale-handshake']), 'base64');
    const accepted = respond(initiation, this.#keys);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n',
    );
    socket.write(this.behaviour.handshake ?? accepted.response);
    const noise = new NoiseStream(socket, accepted.keys, head, 'server');
    noise.on('error', () => {});
    if (this.behaviour.earlyPayload !== null) noise.write(this.behaviour.earlyPayload);
    this.#http2.emit('connection', noise);
  }

  async #serve(stream: ServerHttp2Stream, path: string, method: string): Promise<void> {
    stream.on('error', () => {});
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    if (!path.startsWith('/machine/')) {
      this.others.push(`noise ${method} ${path} ${text}`.trim());
      stream.respond({ ':status': 200 }, { endStream: true });
      return;
    }
    const body = JSON.parse(text) as Body;
    if (path === '/machine/register') {
      this.registrations.push(body);
      answer(stream, await this.behaviour.register(body));
    } else if (body['Stream'] === true) {
      const refusal = this.behaviour.map(body);
      if (refusal === null) this.#stream(stream, body);
      else answer(stream, refusal);
    } else {
      this.updates.push(body);
      const refusal = this.behaviour.update(body);
      if (refusal === null) stream.respond({ ':status': 200 }, { endStream: true });
      else answer(stream, refusal);
    }
  }

  #stream(stream: ServerHttp2Stream, request: Body): void {
    stream.respond({ ':status': 200 });
    const map: MapStream = {
      request,
      send: (frame) => map.raw(packed(frame, request['Compress'] === 'zstd')),
      raw: (bytes) => {
        if (stream.writable) stream.write(bytes);
      },
      end: () => stream.end(),
    };
    this.#streams.push(map);
    stream.on('close', () => (this.#streams = this.#streams.filter((other) => other !== map)));
    this.behaviour.streamed(map);
  }
}

/** Encodes a frame for the wire. */
export function packed(frame: object, isZstd: boolean): Buffer {
  const json = Buffer.from(JSON.stringify(frame));
  const body = isZstd ? zstdCompressSync(json) : json;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

function answer(stream: ServerHttp2Stream, content: Answer): void {
  if (stream.closed) return;
  if (!('status' in content)) {
    stream.respond({ ':status': 200 });
    stream.end(JSON.stringify(content));
    return;
  }
  const {
    status,
    headers = {},
    text = '',
  } = content as { status: number; headers?: Record<string, string>; text?: string };
  stream.respond({ ':status': status, ...headers });
  stream.end(text);
}
