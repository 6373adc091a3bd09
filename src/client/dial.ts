import type {
  CloseReason,
  ConnectTimes,
  ServerVerification,
  Stream,
  StreamHandler,
  Transport,
} from '../transport/port.ts';
import { readMetaCertificate } from '../certificates/x509/meta-certificate.ts';
import { closedError, refusedUnseenError, statusError, timeoutError, upgradeError } from './errors.ts';
import type { RelayAddress } from './relay-url.ts';
import { ResponseStart } from './response-head.ts';
import { upgradeRequest, type UpgradeMode, type UpgradeRequest } from './upgrade-request.ts';
import { WebSocketClientStream } from './websocket-stream.ts';

/** Options for opening a DERP byte stream. */
export interface DialOptions {
  readonly transport: Transport;
  readonly address: RelayAddress;
  /** An IP to connect to instead of the address's host. */
  readonly ipOverride: string | null;
  readonly serverName: string;
  readonly verify: ServerVerification;
  readonly websocket: boolean;
  readonly fastStart: boolean;
  readonly idealNode: string;
  /** Time limit up to the end of the upgrade. */
  readonly timeoutMs: number;
  /** Returns the ClientInfo frame for a fast start; null when the server key is invalid. */
  readonly clientInfo: (serverKey: Buffer) => Buffer | null;
}

/** A DERP byte stream before its first frame. Its new owner sets the handler, reads `early` and resumes the stream. */
export interface Dialed {
  readonly stream: Stream;
  /** The start of the DERP stream, which came with the response. */
  readonly early: Buffer;
  readonly mode: UpgradeMode;
  /** The server's key from its meta-certificate, when ClientInfo was already sent with it. */
  readonly serverKey: Buffer | null;
  readonly times: ConnectTimes;
}

/** Takes the stream over synchronously, so that no byte and no close is missed; or learns why there is none. */
export interface DialHandler {
  dialed(dialed: Dialed): void;
  failed(error: unknown): void;
}

/** Connects, asks for DERP, and reads the response head. Rejections of the transport are passed on as they are. */
export async function dialRelay(options: DialOptions, handler: DialHandler): Promise<void> {
  const { address } = options;
  const dial = new Dial(options, handler);
  try {
    const { stream, times } = await options.transport.connect(
      {
        host: options.ipOverride ?? address.host,
        port: address.port,
        tls: address.secure ? { serverName: options.serverName, verify: options.verify } : null,
        timeoutMs: options.timeoutMs,
      },
      dial,
    );
    dial.begin(stream, times);
  } catch (error) {
    dial.fail(error);
  }
}

/** One upgrade: from the connected stream to the first byte of DERP. */
class Dial implements StreamHandler {
  readonly #options: DialOptions;
  readonly #handler: DialHandler;
  readonly #start = new ResponseStart();
  #times: ConnectTimes = { tcpMs: 0, tlsMs: 0 };
  #mode: UpgradeMode = 'upgrade';
  #request: UpgradeRequest | null = null;
  #serverKey: Buffer | null = null;
  #unsent: Buffer = Buffer.alloc(0);
  #stream: Stream | null = null;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: DialOptions, handler: DialHandler) {
    this.#options = options;
    this.#handler = handler;
  }

  begin(stream: Stream, times: ConnectTimes): void {
    if (this.#over) return;
    const { address, idealNode, timeoutMs } = this.#options;
    this.#stream = stream;
    this.#times = times;
    const leftMs = Math.max(1, timeoutMs - times.tlsMs);
    this.#timer = setTimeout(() => this.fail(timeoutError("the relay's answer to the upgrade", timeoutMs)), leftMs);
    const clientInfo = this.#fastStart(stream);
    this.#mode = this.#options.websocket ? 'websocket' : clientInfo === null ? 'upgrade' : 'fast-start';
    this.#request = upgradeRequest(address, this.#mode, idealNode);
    const head = Buffer.from(this.#request.head);
    this.#unsent = clientInfo === null ? head : Buffer.concat([head, clientInfo]);
    this.writable(stream);
  }

  /** Returns the ClientInfo to send with the request when TLS 1.3 has shown the server's key (§1.5), or null. */
  #fastStart(stream: Stream): Buffer | null {
    const { websocket, fastStart, clientInfo } = this.#options;
    if (websocket || !fastStart || stream.tls?.version !== 'TLSv1.3') return null;
    const meta = readMetaCertificate(stream.tls.chain);
    const frame = meta === null ? null : clientInfo(meta.serverKey);
    if (frame !== null && meta !== null) this.#serverKey = meta.serverKey;
    return frame;
  }

  writable(stream: Stream): void {
    if (this.#unsent.length === 0) return;
    const taken = stream.write(this.#unsent, 0, this.#unsent.length);
    if (taken > 0) this.#unsent = this.#unsent.subarray(taken);
  }

  bytes(stream: Stream, buffer: Buffer, from: number, to: number): void {
    if (this.#over) return;
    this.#start.push(buffer, from, to);
    let early: Buffer | null;
    try {
      early = this.#upgraded();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (early !== null) this.#handOver(stream, early);
  }

  /**
   * Returns the bytes after the response head, or null when the head is not complete. Throws when the relay refuses.
   */
  #upgraded(): Buffer | null {
    if (this.#mode === 'fast-start' && this.#start.isRaw === true) return this.#start.bytes;
    const taken = this.#start.take();
    if (taken === null) return null;
    if (taken.head.status !== 101) throw statusError(taken.head.status, taken.head.text);
    this.#request?.check(taken.head);
    return taken.rest;
  }

  #handOver(stream: Stream, early: Buffer): void {
    this.#over = true;
    clearTimeout(this.#timer);
    const facts = { mode: this.#mode, serverKey: this.#serverKey, times: this.#times };
    if (this.#mode === 'websocket') {
      this.#handler.dialed({
        stream: new WebSocketClientStream(stream, early, this),
        early: Buffer.alloc(0),
        ...facts,
      });
    } else {
      this.#handler.dialed({ stream, early, ...facts });
    }
  }

  closed(_stream: Stream, reason: CloseReason): void {
    if (this.#over) return;
    if (this.#stream === null) this.fail(closedError(reason));
    else if (this.#mode === 'fast-start' && this.#start.bytes.length === 0) this.fail(refusedUnseenError());
    else this.fail(upgradeError('the relay closed the connection without an answer'));
  }

  /** Gives up, once. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#stream?.abort();
    this.#handler.failed(error);
  }
}
