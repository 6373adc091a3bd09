import type { CloseReason, Stream, StreamHandler } from '../transport/port.ts';
import { openBox, sharedBoxKey } from '../wire/box.ts';
import { HeaderVerdict, type FrameSink } from '../wire/frame-decoder.ts';
import {
  FRAME_HEADER_BYTES,
  FrameType,
  KEY_BYTES,
  MAGIC,
  MAX_CLIENT_FRAME_BYTES,
  MAX_GREETING_BYTES,
  NONCE_BYTES,
} from '../wire/frames.ts';
import { encodeClientInfo, parseServerInfo, parseServerKey, type ServerInfo } from '../wire/handshake.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../wire/keys.ts';
import { DerpClient } from './derp-client.ts';
import { dialRelay, type Dialed } from './dial.ts';
import { boxError, greetingError, refusedError, timeoutError } from './errors.ts';
import { FrameStream } from './frame-stream.ts';
import type { DerpClientOptions } from './options.ts';
import { Outgoing } from './outgoing.ts';
import { parseRelayUrl, serverNameFor } from './relay-url.ts';

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_QUEUE_BYTES = 262_144;

/**
 * Connects to a relay: TCP, TLS, upgrade, handshake (§1, §3). Resolves when ServerInfo was opened. Rejects with a
 * TowpathError that says which step failed: `TOWPATH_CONNECT_…` from the transport, `TOWPATH_CLIENT_…` after it.
 */
export function connectDerp(options: DerpClientOptions): Promise<DerpClient> {
  return new Promise((resolve, reject) => {
    const login = new Login(options, resolve, reject);
    void login.run();
  });
}

/** The frame that the relay must send next; `over` once the client is open or the login has failed. */
type Expected = 'server-key' | 'server-info' | 'over';

/** The handshake of one connection, from the dialed stream to the open client. */
class Login implements StreamHandler, FrameSink {
  readonly #options: DerpClientOptions;
  readonly #keys: NodeKeyPair;
  readonly #resolve: (client: DerpClient) => void;
  readonly #reject: (error: unknown) => void;
  readonly #startedAtMs = performance.now();
  readonly #timeoutMs: number;
  #expected: Expected = 'server-key';
  #dialed: Dialed | null = null;
  #upgradeMs = 0;
  #serverKey: Buffer = Buffer.alloc(0);
  #sharedKey: Buffer | null = null;
  #unsent: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  readonly #frames: FrameStream = new FrameStream(this);

  constructor(options: DerpClientOptions, resolve: (client: DerpClient) => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#keys = options.keys ?? generateNodeKeyPair();
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  async run(): Promise<void> {
    const { transport, url, verify, serverName, ipOverride, websocket, fastStart, idealNode } = this.#options;
    let address;
    try {
      address = parseRelayUrl(url);
    } catch (error) {
      this.#reject(error);
      return;
    }
    await dialRelay(
      {
        transport,
        address,
        ipOverride: ipOverride ?? null,
        serverName: serverName ?? serverNameFor(address.host),
        verify: verify ?? { kind: 'ca', name: address.host },
        websocket: websocket ?? false,
        fastStart: fastStart ?? true,
        idealNode: idealNode ?? '',
        timeoutMs: this.#timeoutMs,
        clientInfo: (serverKey) => this.#clientInfo(serverKey),
      },
      { dialed: (dialed) => this.#begin(dialed), failed: (error) => this.#reject(error) },
    );
  }

  /** Returns ClientInfo for this server key, or null when the key is invalid. */
  #clientInfo(serverKey: Buffer): Buffer | null {
    try {
      this.#sharedKey = sharedBoxKey(this.#keys.privateKey, serverKey);
    } catch {
      return null;
    }
    return encodeClientInfo({
      publicKey: this.#keys.publicKey,
      sharedKey: this.#sharedKey,
      info: { canAckPings: true, ...this.#options.info },
    });
  }

  #begin(dialed: Dialed): void {
    this.#dialed = dialed;
    this.#upgradeMs = performance.now() - this.#startedAtMs;
    const leftMs = Math.max(1, this.#timeoutMs - this.#upgradeMs);
    this.#timer = setTimeout(() => this.#fail(timeoutError(this.#missing(), this.#timeoutMs)), leftMs);
    if (dialed.serverKey !== null) this.#serverKey = dialed.serverKey;
    dialed.stream.handler = this;
    this.#frames.push(dialed.early, 0, dialed.early.length);
    dialed.stream.resume();
  }

  #missing(): string {
    return this.#expected === 'server-key' ? "the relay's greeting (ServerKey)" : "the relay's ServerInfo";
  }

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    this.#frames.push(buffer, from, to);
  }

  writable(stream: Stream): void {
    if (this.#unsent.length === 0) return;
    const taken = stream.write(this.#unsent, 0, this.#unsent.length);
    if (taken > 0) this.#unsent = this.#unsent.subarray(taken);
  }

  closed(_stream: Stream, reason: CloseReason): void {
    if (this.#expected === 'server-info') this.#fail(refusedError());
    else this.#fail(greetingError(`the connection ended before it (${reason})`));
  }

  #fail(error: unknown): void {
    if (this.#expected === 'over') return;
    this.#expected = 'over';
    clearTimeout(this.#timer);
    this.#frames.stop();
    this.#dialed?.stream.abort();
    this.#reject(error);
  }

  header(type: number, payloadBytes: number): HeaderVerdict {
    const problem =
      this.#expected === 'server-key' ? judgeServerKey(type, payloadBytes) : judgeServerInfo(type, payloadBytes);
    if (problem === '') return HeaderVerdict.Take;
    this.#fail(greetingError(problem));
    return HeaderVerdict.Stop;
  }

  frame(type: number, buffer: Buffer, from: number, to: number): void {
    const payloadAt = from + FRAME_HEADER_BYTES;
    if (type === FrameType.ServerKey) this.#greeted(buffer, payloadAt, to);
    else this.#admitted(buffer, payloadAt, to);
  }

  #greeted(buffer: Buffer, from: number, to: number): void {
    const key = parseServerKey(buffer, from, to);
    if (key === null) {
      this.#fail(greetingError('it does not start with the DERP magic'));
      return;
    }
    const announced = this.#dialed?.serverKey ?? null;
    this.#expected = 'server-info';
    if (announced !== null) {
      if (!announced.equals(key)) this.#fail(greetingError('its key is not the one in its meta-certificate'));
      return;
    }
    this.#serverKey = key;
    const clientInfo = this.#clientInfo(key);
    if (clientInfo === null) {
      this.#fail(greetingError('its key is not a valid Curve25519 key'));
      return;
    }
    this.#unsent = clientInfo;
    if (this.#dialed !== null) this.writable(this.#dialed.stream);
  }

  #admitted(buffer: Buffer, from: number, to: number): void {
    let plain: Buffer;
    try {
      plain = openBox(this.#sharedKey!, buffer.subarray(from, to));
    } catch (error) {
      this.#fail(boxError('its ServerInfo does not open with the key of its greeting', error));
      return;
    }
    const serverInfo = parseServerInfo(plain);
    if (serverInfo === null) {
      this.#fail(boxError('its ServerInfo is not the JSON object that it should be'));
      return;
    }
    this.#open(this.#dialed!, serverInfo);
  }

  #open(dialed: Dialed, serverInfo: ServerInfo): void {
    this.#expected = 'over';
    clearTimeout(this.#timer);
    const client = new DerpClient({
      stream: dialed.stream,
      frames: this.#frames,
      clock: this.#options.clock,
      publicKey: this.#keys.publicKey,
      outgoing: this.#options.outgoing ?? new Outgoing(this.#options.queueBytes ?? DEFAULT_QUEUE_BYTES),
      handler: this.#options.handler ?? {},
      facts: {
        mode: dialed.mode,
        tls: dialed.stream.tls,
        remoteIp: dialed.stream.remote.ip,
        serverKey: this.#serverKey,
        serverInfo,
        tcpMs: dialed.times.tcpMs,
        tlsMs: dialed.times.tlsMs,
        upgradeMs: this.#upgradeMs,
        openMs: performance.now() - this.#startedAtMs,
      },
    });
    this.#resolve(client);
  }
}

/** Returns what is wrong with the header of the first frame, or an empty text (§2.4). */
function judgeServerKey(type: number, payloadBytes: number): string {
  if (type !== FrameType.ServerKey) return `its first frame has type ${type}, not 1 (ServerKey)`;
  if (payloadBytes < MAGIC.length + KEY_BYTES) return `its first frame has only ${payloadBytes} bytes`;
  return payloadBytes > MAX_GREETING_BYTES ? `its first frame has ${payloadBytes} bytes` : '';
}

/**
 * Returns what is wrong with the header of the frame after ServerKey, or an empty text: it must be ServerInfo (§3.1).
 */
function judgeServerInfo(type: number, payloadBytes: number): string {
  if (type !== FrameType.ServerInfo) return `a frame of type ${type} came before ServerInfo`;
  if (payloadBytes < NONCE_BYTES) return `its ServerInfo has only ${payloadBytes} bytes`;
  return payloadBytes > MAX_CLIENT_FRAME_BYTES ? `its ServerInfo has ${payloadBytes} bytes` : '';
}
