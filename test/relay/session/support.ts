/** A session without a network: its stream is in memory, and a test sets the state that sessions share. */
import { Clock } from '../../../src/base/clock.ts';
import { KeyLimits } from '../../../src/relay/fairness/key-limits.ts';
import { WakeList } from '../../../src/base/wake-list.ts';
import { Counters, type RefusalReason } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import { Router } from '../../../src/relay/routing/router.ts';
import { Sessions, type SessionParts } from '../../../src/relay/session/sessions.ts';
import { QueueSpace } from '../../../src/relay/session/frame-queue.ts';
import { LoopTurn } from '../../../src/relay/session/loop-turn.ts';
import type { Session, UpgradeFacts } from '../../../src/relay/session/session.ts';
import type { CloseReason, Endpoint, Stream, StreamHandler } from '../../../src/transport/port.ts';
import { sharedBoxKey } from '../../../src/wire/box.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { type ClientInfo, encodeClientInfo } from '../../../src/wire/handshake.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';

/** A stream in memory: the test gives it bytes, limits its writes, and reads the written bytes. */
export class MemoryStream implements Stream {
  remote: Endpoint = { ip: '192.0.2.1', port: 1 };
  readonly peer: Endpoint = { ip: '192.0.2.1', port: 1 };
  readonly local: Endpoint = { ip: '192.0.2.2', port: 2 };
  readonly tls: null = null;
  readonly connection: null = null;
  handler!: StreamHandler;
  /** Number of bytes that it takes from now on. */
  room: number = Infinity;
  isPaused = false;
  end: 'finish' | 'abort' | null = null;
  largestWrite: number = 0;
  #written: Buffer = Buffer.alloc(0);

  write(buffer: Buffer, from: number, to: number): number {
    if (this.end !== null) return -1;
    this.largestWrite = Math.max(this.largestWrite, to - from);
    const taken = Math.min(this.room, to - from);
    this.room -= taken;
    this.#written = Buffer.concat([this.#written, buffer.subarray(from, from + taken)]);
    return taken;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  finish(): void {
    this.end ??= 'finish';
  }

  abort(): void {
    this.end ??= 'abort';
  }

  /** Gives the handler `bytes` of the peer. They are overwritten after the call, as in a real stream. Throws an Error if the handler changed them. */
  feed(bytes: Buffer): void {
    const window = Buffer.from(bytes);
    this.handler.bytes(this, window, 0, window.length);
    if (!window.equals(bytes)) throw new Error('a read buffer was written into');
    window.fill(0xee);
  }

  /** Ends the stream. */
  close(reason: CloseReason = this.end === null ? 'end' : 'local'): void {
    this.handler.closed(this, reason);
  }

  /** Returns the written bytes since the last call, as Latin-1. */
  text(): string {
    const text = this.#written.toString('latin1');
    this.#written = Buffer.alloc(0);
    return text;
  }

  /** Returns the written frames since the last call. An incomplete frame stays for the next call. */
  frames(): { readonly type: number; readonly payload: Buffer }[] {
    const frames: { type: number; payload: Buffer }[] = [];
    let at = 0;
    while (at + 5 <= this.#written.length) {
      const next = at + 5 + this.#written.readUInt32BE(at + 1);
      if (next > this.#written.length) break;
      frames.push({ type: this.#written[at]!, payload: this.#written.subarray(at + 5, next) });
      at = next;
    }
    this.#written = this.#written.subarray(at);
    return frames;
  }
}

/** The shared state of sessions in a test. */
export class SessionWorld {
  readonly serverKeys: NodeKeyPair = generateNodeKeyPair();
  readonly counters: Counters = new Counters();
  readonly clock: Clock = new Clock();
  readonly refusals: (readonly [reason: RefusalReason, detail: string])[] = [];
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly context: SessionParts;
  readonly sessions: Sessions;

  constructor(changes: Partial<SessionParts> = {}) {
    const limits = {
      queueBytes: 262_144,
      discoQueueBytes: 32_768,
      derpHandshakeMs: 10_000,
      queueMs: 2000,
      writeDeadlineMs: 60_000,
      readBudgetBytes: 65_536,
      keepAliveMs: 60_000,
      keepAliveBehindProxyMs: 25_000,
    };
    this.context = {
      clock: this.clock,
      counters: this.counters,
      turn: new LoopTurn(),
      space: new QueueSpace(64 * 1024 * 1024),
      wakes: new WakeList(),
      router: new Router(this.counters, DuplicatePolicy.LastWriter, { connectionsPerKey: 4, contactsPerClient: 64 }),
      admission: { admit: () => ({ admitted: true }) },
      deniedApps: new Set(),
      limits,
      keyPair: this.serverKeys,
      reporter: {
        refused: (reason, _remote, _key, detail) => this.refusals.push([reason, detail]),
        opened: (_remote, key) => this.opened.push(key.toString('hex')),
        closed: (_remote, _key, reason) => this.closed.push(reason),
      },
      mayOpen: () => null,
      meshKeys: [],
      keyLimits: new KeyLimits({ bytesPerSecond: 0, burstBytes: 0 }, null),
      rate: { bytesPerSecond: 0, burstBytes: 0 },
      ...changes,
    };
    this.sessions = new Sessions(this.context);
  }

  /** Makes a session on a new stream, in the state after the upgrade. */
  connect(facts: Partial<UpgradeFacts> = {}): { readonly stream: MemoryStream; readonly session: Session } {
    const stream = new MemoryStream();
    const session = this.sessions.start(stream, { notIdeal: false, isWebSocket: false, ...facts }, '');
    stream.handler = session;
    return { stream, session };
  }

  /** Makes the ClientInfo frame of a client. */
  clientInfo(keys: NodeKeyPair = generateNodeKeyPair(), info: Partial<ClientInfo> = {}): Buffer {
    const sharedKey = sharedBoxKey(keys.privateKey, this.serverKeys.publicKey);
    return encodeClientInfo({ publicKey: keys.publicKey, sharedKey, info: { version: 2, ...info } });
  }

  /** Makes an open session for the key of `keys`. */
  open(
    keys: NodeKeyPair = generateNodeKeyPair(),
    info: Partial<ClientInfo> = {},
    facts: Partial<UpgradeFacts> = {},
  ): {
    readonly stream: MemoryStream;
    readonly session: Session;
    readonly key: Buffer;
  } {
    const { stream, session } = this.connect(facts);
    stream.feed(this.clientInfo(keys, info));
    return { stream, session, key: keys.publicKey };
  }
}

/** Makes a SendPacket frame. */
export function sendPacket(destination: Buffer, packet: Buffer): Buffer {
  return encodeFrame(FrameType.SendPacket, destination, packet);
}
