import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import type { CertificatePair, Listener, Stream, StreamHandler } from '../../src/transport/port.ts';
import { transport } from '../../src/transport/runtime.ts';
import { openBox, sharedBoxKey } from '../../src/wire/box.ts';
import { FrameDecoder, HeaderVerdict } from '../../src/wire/frame-decoder.ts';
import { encodeFrame, encodeServerKey, FrameType } from '../../src/wire/frames.ts';
import { encodeServerInfo, parseClientInfo, upgradeResponseHead, type ClientInfo } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';

const DAY_MS = 86_400_000;

/** One connection of a {@link FakeRelay}. */
export class FakeConnection implements StreamHandler {
  readonly relay: FakeRelay;
  readonly stream: Stream;
  /** The request head, once it is complete. */
  head = '';
  info: ClientInfo | null = null;
  publicKey: Buffer = Buffer.alloc(0);
  /** Frames after ClientInfo. */
  readonly frames: Buffer[] = [];
  #early: Buffer = Buffer.alloc(0);
  #unsent: Buffer = Buffer.alloc(0);
  readonly #decoder: FrameDecoder;

  constructor(relay: FakeRelay, stream: Stream) {
    this.relay = relay;
    this.stream = stream;
    this.#decoder = new FrameDecoder({
      header: () => HeaderVerdict.Take,
      frame: (type, buffer, from, to) => this.#frame(type, Buffer.from(buffer.subarray(from, to))),
    });
  }

  bytes(_stream: Stream, buffer: Buffer, from: number, to: number): void {
    if (this.head !== '') {
      this.#decoder.push(buffer, from, to);
      return;
    }
    this.#early = Buffer.concat([this.#early, buffer.subarray(from, to)]);
    const end = this.#early.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.head = this.#early.toString('latin1', 0, end);
    this.relay.script.upgrade(this);
    this.#decoder.push(this.#early, end + 4, this.#early.length);
  }

  writable(): void {
    const taken = this.stream.write(this.#unsent, 0, this.#unsent.length);
    if (taken > 0) this.#unsent = this.#unsent.subarray(taken);
  }

  closed(): void {
    this.relay.connections.delete(this);
  }

  write(...parts: readonly (Buffer | string)[]): void {
    this.#unsent = Buffer.concat([this.#unsent, ...parts.map((part) => Buffer.from(part as string, 'latin1'))]);
    this.writable();
  }

  #frame(type: number, frame: Buffer): void {
    if (type !== FrameType.ClientInfo || this.info !== null) {
      this.frames.push(frame);
      this.relay.script.frame?.(this, type, frame);
      return;
    }
    this.publicKey = frame.subarray(5, 37);
    const sharedKey = sharedBoxKey(this.relay.keys.privateKey, this.publicKey);
    try {
      this.info = parseClientInfo(openBox(sharedKey, frame.subarray(37)));
    } catch {
      return;
    }
    this.relay.script.login(this, sharedKey);
  }
}

/** The steps of a fake relay; tests replace single steps. */
export interface Script {
  upgrade(connection: FakeConnection): void;
  login(connection: FakeConnection, sharedKey: Buffer): void;
  frame?(connection: FakeConnection, type: number, frame: Buffer): void;
}

const WELL_BEHAVED: Script = {
  upgrade(connection) {
    const { publicKey } = connection.relay.keys;
    if (!connection.head.includes('Derp-Fast-Start: 1')) connection.write(upgradeResponseHead(publicKey));
    connection.write(encodeServerKey(publicKey));
  },
  login(connection, sharedKey) {
    connection.write(encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0 }));
  },
  frame(connection, type, frame) {
    if (type === FrameType.Ping) connection.write(encodeFrame(FrameType.Pong, frame.subarray(5)));
    if (type !== FrameType.SendPacket) return;
    for (const other of connection.relay.connections) {
      if (!other.publicKey.equals(frame.subarray(5, 37))) continue;
      other.write(encodeFrame(FrameType.RecvPacket, connection.publicKey, frame.subarray(37)));
    }
  },
};

/** Makes a certificate for `name` that is valid for `days` from now, with its key. */
export function certificateFor(days: number, name = '127.0.0.1'): CertificatePair {
  const key = generateCertificateKey();
  const now = Date.now();
  const fields = { names: [name], notBefore: new Date(now - 30 * DAY_MS), notAfter: new Date(now + days * DAY_MS) };
  return { certPem: makeSelfSigned(fields, key), keyPem: formatCertificateKey(key) };
}

/** A scripted relay on a free loopback port, without TLS unless it is given a certificate. */
export class FakeRelay {
  readonly keys: NodeKeyPair = generateNodeKeyPair();
  readonly connections: Set<FakeConnection> = new Set<FakeConnection>();
  script: Script = WELL_BEHAVED;
  #listener: Listener | null = null;
  readonly #scheme: string;

  private constructor(secure: boolean) {
    this.#scheme = secure ? 'https' : 'http';
  }

  static async start(
    changes: Partial<Script> = {},
    pair: CertificatePair | null = null,
    meta: (ownKey: Buffer) => string = () => '',
  ): Promise<FakeRelay> {
    const relay = new FakeRelay(pair !== null);
    const certificate = pair === null ? null : { ...pair, certPem: pair.certPem + meta(relay.keys.publicKey) };
    relay.script = { ...WELL_BEHAVED, ...changes };
    relay.#listener = await transport.listen(
      { ip: '127.0.0.1', port: 0, tls: certificate === null ? null : { certificate, handshakeTimeoutMs: 5000 } },
      {
        accepted: () => ({
          handshaking: () => undefined,
          opened: (stream) => {
            const connection = new FakeConnection(relay, stream);
            relay.connections.add(connection);
            return connection;
          },
          failed: () => undefined,
          released: () => undefined,
        }),
        refused: () => undefined,
        error: () => undefined,
      },
    );
    return relay;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/derp`;
  }

  get port(): number {
    return this.#listener!.address.port;
  }

  async stop(): Promise<void> {
    for (const connection of this.connections) connection.stream.abort();
    await this.#listener!.close();
  }
}
