/** Parts of the contract suite: recorders, pairs of streams, hostile peers and waits with a deadline. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type {
  Abortable,
  CertificatePair,
  CloseReason,
  ConnectionHandler,
  DropReason,
  Endpoint,
  HandshakeFailure,
  Listener,
  ListenerHandler,
  ListenOptions,
  ServerTls,
  Stream,
  StreamHandler,
  Transport,
} from '../../src/transport/port.ts';

/** Longest wait for something that should happen at once, in milliseconds. */
const PATIENCE_MS = 8000;
/** A look at a condition counts as at most this many milliseconds. */
const LOOK_MS = 20;

/**
 * Waits until `condition` holds; fails with `what` after the deadline. Time in which a busy machine did not run this process
 * counts little: the other side of the test did not run either.
 */
export async function eventually(condition: () => boolean, what: string, limitMs: number = PATIENCE_MS): Promise<void> {
  let leftMs = limitMs;
  let lookedAt = performance.now();
  while (!condition()) {
    assert.ok(leftMs > 0, `not within ${limitMs} ms: ${what}`);
    await quiet(2);
    const now = performance.now();
    leftMs -= Math.min(now - lookedAt, LOOK_MS);
    lookedAt = now;
  }
}

/** Waits `ms` milliseconds, during which something must not happen, and until the events of that time have been handled. */
export async function quiet(ms: number): Promise<void> {
  // After a late timer, the event loop looks at its sockets before an immediate.
  await new Promise((resolve) => setTimeout(() => setImmediate(resolve), ms));
}

/** Resolves when the socket is closed, without polling, for tests with many sockets. */
export function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** Records the events of a stream. */
export class Recorder implements StreamHandler {
  /** Resolves when the stream is closed. */
  readonly closing: Promise<void>;
  readonly chunks: Buffer[] = [];
  readonly closes: CloseReason[] = [];
  total = 0;
  writables = 0;
  onBytes: ((stream: Stream, buffer: Buffer, from: number, to: number) => void) | null = null;
  onWritable: (() => void) | null = null;
  #tellClosed: () => void = () => undefined;

  constructor() {
    this.closing = new Promise((resolve) => (this.#tellClosed = resolve));
  }

  bytes(stream: Stream, buffer: Buffer, from: number, to: number): void {
    assert.equal(this.closes.length, 0, 'bytes after closed');
    this.total += to - from;
    if (this.onBytes === null) this.chunks.push(Buffer.from(buffer.subarray(from, to)));
    else this.onBytes(stream, buffer, from, to);
  }

  writable(): void {
    this.writables++;
    this.onWritable?.();
  }

  closed(_stream: Stream, reason: CloseReason): void {
    this.closes.push(reason);
    this.#tellClosed();
  }

  text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }
}

/** A listener that records all its events. */
export class Serving implements ListenerHandler {
  listener!: Listener;
  admit = true;
  accepts = 0;
  releases = 0;
  readonly handshakes: Abortable[] = [];
  readonly acceptedFrom: Endpoint[] = [];
  readonly streams: Stream[] = [];
  readonly ends: Recorder[] = [];
  readonly failures: { remote: Endpoint; failure: HandshakeFailure | DropReason; detail: string }[] = [];
  readonly errors: Error[] = [];
  /** May return another handler for a stream than its recorder. */
  onOpened: ((stream: Stream, end: Recorder) => StreamHandler) | null = null;

  get port(): number {
    return this.listener.address.port;
  }

  accepted(remote: Endpoint): ConnectionHandler | null {
    this.acceptedFrom.push(remote);
    if (!this.admit) return null;
    this.accepts++;
    return {
      handshaking: (handshake) => this.handshakes.push(handshake),
      opened: (stream) => this.#opened(stream),
      failed: (failure, detail) => this.failures.push({ remote, failure, detail }),
      released: () => this.releases++,
    };
  }

  #opened(stream: Stream): StreamHandler {
    const end = new Recorder();
    this.streams.push(stream);
    this.ends.push(end);
    return this.onOpened?.(stream, end) ?? end;
  }

  refused(failure: DropReason, remote: Endpoint, detail: string): void {
    this.failures.push({ remote, failure, detail });
  }

  error(error: Error): void {
    this.errors.push(error);
  }

  /** Resolves with stream number `index`, from 0. */
  async stream(index = 0): Promise<{ stream: Stream; end: Recorder }> {
    await eventually(() => this.streams.length > index, 'a stream is opened');
    return { stream: this.streams[index]!, end: this.ends[index]! };
  }

  /** Ends all streams and the listener, and checks that each stream was closed exactly once. */
  async stop(): Promise<void> {
    await this.listener.close();
    for (const stream of this.streams) stream.abort();
    await eventually(() => this.ends.every((end) => end.closes.length > 0), 'all streams closed');
    for (const end of this.ends) assert.equal(end.closes.length, 1, 'closed once');
    await eventually(() => this.releases >= this.accepts, 'each accepted connection is released');
    assert.equal(this.releases, this.accepts);
    assert.deepEqual(this.errors, []);
  }
}

/** Starts a recording listener; TLS when a certificate is given. */
export async function serve(
  transport: Transport,
  certificate: CertificatePair | null,
  options: Partial<Omit<ListenOptions, 'tls'> & Omit<ServerTls, 'certificate'>> = {},
): Promise<Serving> {
  const serving = new Serving();
  const { handshakeTimeoutMs = 4000, challenge, ...where } = options;
  const tls = certificate && { certificate, handshakeTimeoutMs, challenge };
  serving.listener = await transport.listen({ ip: '127.0.0.1', port: 0, ...where, tls }, serving);
  return serving;
}

/** Makes two connected streams of this transport. */
export interface Pair {
  readonly serving: Serving;
  readonly client: Stream;
  readonly clientEnd: Recorder;
  readonly server: Stream;
  readonly serverEnd: Recorder;
}

/** Connects a client of this transport to a new listener of it. */
export async function pair(transport: Transport, certificate: CertificatePair | null): Promise<Pair> {
  const serving = await serve(transport, certificate);
  const clientEnd = new Recorder();
  const tls = certificate && { serverName: '', verify: { kind: 'none' as const } };
  const options = { host: '127.0.0.1', port: serving.port, tls, timeoutMs: PATIENCE_MS };
  const { stream: client } = await transport.connect(options, clientEnd);
  const { stream: server, end: serverEnd } = await serving.stream();
  return { serving, client, clientEnd, server, serverEnd };
}

/** Ends both sides of a pair. */
export async function endPair({ serving, client, clientEnd }: Pair): Promise<void> {
  client.abort();
  await eventually(() => clientEnd.closes.length > 0, 'client closed');
  assert.equal(clientEnd.closes.length, 1);
  await serving.stop();
}

/** Connects a peer that is a plain TCP socket. */
export async function tcpPeer(port: number, options: { allowHalfOpen?: boolean; host?: string } = {}): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1', ...options });
  socket.on('error', () => undefined);
  // A server may reset the connection before this side is connected.
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
  return socket;
}

/** Connects a TLS peer over a plain TCP socket, which a test can misuse. Resolves with null when the handshake is refused. */
export async function tlsPeer(
  port: number,
  options: ConnectionOptions = {},
): Promise<{ tcp: Socket; tls: TLSSocket } | null> {
  const tcp = await tcpPeer(port);
  if (tcp.destroyed) return null;
  const tls = connectTls({ socket: tcp, rejectUnauthorized: false, ...options });
  const ready = await new Promise<boolean>((resolve) => {
    tls.on('error', () => resolve(false));
    tls.once('close', () => resolve(false));
    tcp.once('close', () => resolve(false));
    tls.once('secureConnect', () => resolve(true));
  });
  if (ready) return { tcp, tls };
  tls.destroy();
  tcp.destroy();
  return null;
}

/** Like {@link tlsPeer}, but fails when the handshake is refused. */
export async function securePeer(
  port: number,
  options: ConnectionOptions = {},
): Promise<{ tcp: Socket; tls: TLSSocket }> {
  const peer = await tlsPeer(port, options);
  assert.ok(peer !== null, 'TLS handshake');
  return peer;
}

/** Returns the number of open descriptors of this process. */
export function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Runs the garbage collector of either runtime, so that memory can be compared. */
export function collectGarbage(): void {
  const bun: unknown = Reflect.get(globalThis, 'Bun');
  if (typeof bun === 'object' && bun !== null && 'gc' in bun && typeof bun.gc === 'function') {
    (bun.gc as (force: boolean) => void)(true);
    return;
  }
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const PATTERN_BYTES = 1_048_573;
const PATTERN = Buffer.alloc(PATTERN_BYTES * 2);
for (let i = 0; i < PATTERN.length; i++)
  PATTERN[i] = ((i % PATTERN_BYTES) * 31 + ((i % PATTERN_BYTES) >> 8) * 7) & 0xff;

/** Sends `total` bytes of the pattern from one small buffer, which it overwrites after each write. */
export class PatternSender {
  sent = 0;
  readonly #stream: Stream;
  readonly #total: number;
  readonly #buffer: Buffer = Buffer.alloc(100_000);

  constructor(stream: Stream, end: Recorder, total: number) {
    this.#stream = stream;
    this.#total = total;
    end.onWritable = () => this.pump();
  }

  pump(): void {
    while (this.sent < this.#total) {
      const wanted = Math.min(this.#buffer.length, this.#total - this.sent);
      const at = this.sent % PATTERN_BYTES;
      PATTERN.copy(this.#buffer, 0, at, at + wanted);
      const taken = this.#stream.write(this.#buffer, 0, wanted);
      this.#buffer.fill(0xaa);
      if (taken <= 0) return;
      this.sent += taken;
    }
  }
}

/** Checks bytes against the pattern. */
export class PatternChecker {
  seen = 0;

  check(buffer: Buffer, from: number, to: number): void {
    for (let start = from; start < to; start += PATTERN_BYTES) {
      const stop = Math.min(start + PATTERN_BYTES, to);
      const at = this.seen % PATTERN_BYTES;
      const same = PATTERN.compare(buffer, start, stop, at, at + stop - start) === 0;
      assert.ok(same, `wrong bytes near ${this.seen}`);
      this.seen += stop - start;
    }
    // The receiver may overwrite the bytes.
    buffer.fill(0x55, from, to);
  }
}
