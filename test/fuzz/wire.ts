import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { sealBox, sharedBoxKey } from '../../src/wire/box.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES, MAGIC } from '../../src/wire/frames.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import type { Input } from './input.ts';
import { Random } from './random.ts';
import { FAST_START, UPGRADE, WEBSOCKET } from './samples.ts';
import { openWebSocket, webSocketFrame } from './websocket.ts';

const HEAD_END = '\r\n\r\n';

/** A relay to connect to. */
export interface Target {
  readonly derp: number;
  readonly http: number;
  readonly stun: number;
  /** False: its DERP port has no TLS. */
  readonly hasTls: boolean;
}

/** The connection has ended, or the expected bytes did not arrive. */
export class Ended extends Error {}

/** One TCP connection to a relay that can send and receive anything. */
export class Wire {
  readonly keys: NodeKeyPair = generateNodeKeyPair();
  /** The received bytes, inside TLS. */
  received: Buffer = Buffer.alloc(0);
  isClosed = false;
  readonly #tcp: Socket;
  #top: Socket;
  readonly #cuts: Random | null;
  #isWebSocket = false;
  /** DERP bytes, without WebSocket. */
  #derp: Buffer = Buffer.alloc(0);
  #serverKey: Buffer = Buffer.alloc(0);
  #changed: () => void = () => undefined;

  private constructor(tcp: Socket, cuts: number) {
    this.#tcp = this.#top = tcp;
    this.#cuts = cuts === 0 ? null : new Random(cuts);
  }

  /** Connects from `localAddress`; uses TLS unless `tls` is null. */
  static async open(
    port: number,
    options: {
      readonly tls: Input['tls'];
      readonly preamble?: Buffer;
      readonly cuts?: number;
      readonly localAddress?: string;
    },
    deadlineMs: number,
  ): Promise<Wire> {
    const { tls, preamble, cuts = 0, localAddress } = options;
    const tcp = connectTcp({ host: '127.0.0.1', port, ...(localAddress === undefined ? {} : { localAddress }) });
    tcp.setNoDelay(true);
    const wire = new Wire(tcp, cuts);
    tcp.on('close', () => wire.#ended()).on('error', () => undefined);
    await wire.#event(tcp, 'connect', deadlineMs);
    if (preamble !== undefined) await wire.#put(tcp, preamble);
    if (tls === null) {
      tcp.on('data', (bytes: Buffer) => wire.#take(bytes));
      return wire;
    }
    const socket = connectTls({
      socket: tcp,
      rejectUnauthorized: false,
      ALPNProtocols: [...(tls.alpn ?? [])],
      ...(tls.serverName ? { servername: tls.serverName } : {}),
      ...(tls.maxVersion === undefined ? {} : { maxVersion: tls.maxVersion }),
    });
    socket.on('error', () => undefined).on('close', () => wire.#ended());
    wire.#top = socket;
    await wire.#event(socket, 'secureConnect', deadlineMs);
    socket.on('data', (bytes: Buffer) => wire.#take(bytes));
    return wire;
  }

  /** Upgrades and reads the greeting, so that {@link clientInfo} can be called. */
  async upgrade(how: 'fast-start' | 'upgrade' | 'websocket', deadlineMs: number): Promise<void> {
    await this.bare(Buffer.from({ 'fast-start': FAST_START, upgrade: UPGRADE, websocket: WEBSOCKET }[how]));
    if (how !== 'fast-start') {
      await this.until(() => this.received.includes(HEAD_END), deadlineMs);
      this.received = this.received.subarray(this.received.indexOf(HEAD_END) + HEAD_END.length);
    }
    this.#isWebSocket = how === 'websocket';
    const { type, payload } = await this.frame(deadlineMs);
    if (type !== FrameType.ServerKey || !payload.subarray(0, MAGIC.length).equals(MAGIC))
      throw new Ended('no greeting');
    this.#serverKey = payload.subarray(MAGIC.length, MAGIC.length + KEY_BYTES);
  }

  /** Returns the ClientInfo frame with this JSON. */
  clientInfo(json: Buffer, publicKey: Buffer = this.keys.publicKey): Buffer {
    const shared = sharedBoxKey(this.keys.privateKey, this.#serverKey);
    return encodeFrame(FrameType.ClientInfo, publicKey, sealBox(shared, json));
  }

  async login(deadlineMs: number): Promise<void> {
    await this.send(this.clientInfo(Buffer.from('{"version":2,"CanAckPings":true}')));
    const { type } = await this.frame(deadlineMs);
    if (type !== FrameType.ServerInfo) throw new Ended('no ServerInfo');
  }

  /** Sends DERP bytes. */
  async send(bytes: Buffer): Promise<void> {
    await this.bare(this.#isWebSocket ? webSocketFrame(2, bytes) : bytes);
  }

  /** Sends bytes inside TLS. */
  async bare(bytes: Buffer): Promise<void> {
    await this.#put(this.#top, bytes);
  }

  /** Sends bytes outside of TLS. */
  async raw(bytes: Buffer): Promise<void> {
    await this.#put(this.#tcp, bytes);
  }

  /** Resolves with the next whole frame. */
  async frame(deadlineMs: number): Promise<{ readonly type: number; readonly payload: Buffer }> {
    const length = (): number =>
      this.#derp.length < FRAME_HEADER_BYTES ? Infinity : FRAME_HEADER_BYTES + this.#derp.readUInt32BE(1);
    await this.until(() => {
      this.#unwrap();
      return this.#derp.length >= length();
    }, deadlineMs);
    const frame = this.#derp.subarray(0, length());
    this.#derp = this.#derp.subarray(frame.length);
    return { type: frame[0]!, payload: frame.subarray(FRAME_HEADER_BYTES) };
  }

  /** Waits for `condition`; throws {@link Ended} when the connection or the time ends first. */
  async until(condition: () => boolean, deadlineMs: number): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    while (!condition()) {
      const left = deadline - performance.now();
      if (this.isClosed) throw new Ended('closed');
      if (left <= 0) throw new Ended('late');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  halfClose(): void {
    this.#tcp.end();
  }

  fin(): void {
    this.#tcp.destroySoon();
  }

  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  destroy(): void {
    this.#top.destroy();
    this.#tcp.destroy();
  }

  async #put(socket: Socket, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !this.isClosed;) {
      const left = bytes.length - at;
      const size = this.#cuts === null || left > 4096 ? left : this.#cuts.pick([left, 1, 1 + this.#cuts.below(left)]);
      const flushed = socket.write(bytes.subarray(at, at + size));
      at += size;
      if (!flushed) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
      else if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #event(socket: Socket, name: string, deadlineMs: number): Promise<void> {
    let happened = false;
    socket.once(name, () => {
      happened = true;
      this.#changed();
    });
    await this.until(() => happened, deadlineMs);
  }

  #unwrap(): void {
    if (this.#isWebSocket) {
      const { payload, rest } = openWebSocket(this.received);
      this.received = rest;
      this.#derp = Buffer.concat([this.#derp, payload]);
    } else {
      this.#derp = Buffer.concat([this.#derp, this.received]);
      this.received = Buffer.alloc(0);
    }
  }

  #take(bytes: Buffer): void {
    this.received = Buffer.concat([this.received, bytes]);
    this.#changed();
  }

  #ended(): void {
    this.isClosed = true;
    this.#changed();
  }
}
