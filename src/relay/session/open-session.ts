import { TokenBucket } from '../../base/token-bucket.ts';
import {
  FRAME_HEADER_BYTES,
  FrameType,
  KEY_BYTES,
  PING_BYTES,
  PeerGoneReason,
  encodeFrame,
} from '../../wire/frames.ts';
import type { Peer } from '../routing/peer.ts';
import type { Recipient } from '../routing/recipient.ts';
import { RouteResult } from '../routing/router.ts';
import type { SessionContext } from './context.ts';
import type { FrameReader, FrameReceiver } from './frame-reader.ts';
import { type MeshFrameOwner, MeshFrames } from './mesh-frames.ts';
import type { Outbox } from './outbox.ts';
import type { Traffic } from './traffic.ts';

/** Burst of PeerGone "not here" hints, and how many more are sent per second (protocol reference §4.7). */
const HINT_BURST = 3;
const HINTS_PER_SECOND = 1;

/** Changes of the home are counted once a connection is this old (§4.7). */
const HOME_MOVE_AFTER_MS = 5000;
/** Pings are not answered while this many bytes of control frames wait; upstream keeps one pong and ignores the rest. */
const PONG_BACKLOG_BYTES = 1024;
/**
 * The same for a connection with the mesh key. Up to 32 KiB of reports about keys may wait for another relay all the time, and it
 * closes a link on which it gets no Pong.
 */
const MESH_PONG_BACKLOG_BYTES = 49_152;

/** The session's side of its frames: the recipient for its key, and the queue to the client. */
export interface FrameOwner extends Recipient, MeshFrameOwner {
  /** Queues a control frame for the client. */
  control(frame: Buffer): void;
}

export interface OpenSessionParts {
  readonly owner: FrameOwner;
  readonly peer: Peer;
  readonly reader: FrameReader;
  readonly outbox: Outbox;
  readonly traffic: Traffic;
  /** True when the client has sent the mesh key. */
  readonly isMesh: boolean;
  readonly context: SessionContext;
}

/** Handles the frames of an open session's client (protocol reference §4). */
export class OpenSession implements FrameReceiver {
  readonly #owner: FrameOwner;
  readonly #peer: Peer;
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  readonly #traffic: Traffic;
  readonly #context: SessionContext;
  readonly #openedAt: number;
  /** Null for a client without the mesh key. */
  readonly #mesh: MeshFrames | null;
  /** Limits the hints about unknown destinations; null before the first. */
  #hints: TokenBucket | null = null;
  #isHome = false;

  constructor({ owner, peer, reader, outbox, traffic, isMesh, context }: OpenSessionParts) {
    this.#owner = owner;
    this.#peer = peer;
    this.#reader = reader;
    this.#outbox = outbox;
    this.#traffic = traffic;
    this.#context = context;
    this.#openedAt = context.clock.now;
    this.#mesh = isMesh ? new MeshFrames(peer.key, owner, reader, context) : null;
  }

  /** True when this relay is the client's home. */
  get isHome(): boolean {
    return this.#isHome;
  }

  /** A frame of this type begins, whose length is allowed. False when it is to be skipped. */
  begins(type: number): boolean {
    if (this.#peer.size > 1) this.#context.router.spoke(this.#peer, this.#owner);
    if (type === FrameType.SendPacket || type === FrameType.Ping || type === FrameType.NotePreferred) return true;
    // The rules allow these types only with the mesh key.
    if (type === FrameType.ForwardPacket || type === FrameType.WatchConns || type === FrameType.ClosePeer) return true;
    this.#context.counters.unknownFrames++;
    return false;
  }

  /** A whole frame that {@link begins} wanted: header at `from`, payload up to `to`. */
  frame(type: number, buffer: Buffer, from: number, to: number): void {
    const payloadAt = from + FRAME_HEADER_BYTES;
    if (type === FrameType.SendPacket) this.#sendPacket(buffer, payloadAt, to);
    else if (type === FrameType.Ping) this.#ping(buffer, payloadAt);
    else if (type === FrameType.NotePreferred) this.#notePreferred(buffer[payloadAt] !== 0);
    else this.#mesh?.frame(type, buffer, payloadAt, to);
  }

  /** Queues reports for a watching client, as far as there is room. Returns true when there are more. */
  fill(): boolean {
    return this.#mesh?.fill() ?? false;
  }

  /** The connection is gone. */
  close(): void {
    this.#mesh?.close();
    if (this.#isHome) this.#context.counters.homeConnections--;
    this.#isHome = false;
  }

  #sendPacket(buffer: Buffer, keyAt: number, to: number): void {
    const { router, clock } = this.#context;
    const packetAt = keyAt + KEY_BYTES;
    const result = router.route(this.#peer, buffer, keyAt, packetAt, to);
    if (result === RouteResult.Full) {
      this.#reader.keepFrame();
      router.whenTaking(this.#reader, buffer, keyAt);
      return;
    }
    this.#traffic.received(to - packetAt, result);
    if (result !== RouteResult.NotHere) return;
    this.#hints ??= new TokenBucket(HINTS_PER_SECOND, HINT_BURST, clock.now);
    if (this.#hints.take(1, clock.now) === 0) {
      this.#owner.peerGone(buffer.subarray(keyAt, packetAt), PeerGoneReason.NotHere);
    }
  }

  #ping(buffer: Buffer, at: number): void {
    const { counters } = this.#context;
    counters.pingsReceived++;
    if (this.#outbox.controlBytes > (this.#mesh === null ? PONG_BACKLOG_BYTES : MESH_PONG_BACKLOG_BYTES)) return;
    this.#owner.control(encodeFrame(FrameType.Pong, buffer.subarray(at, at + PING_BYTES)));
    counters.pongsSent++;
  }

  #notePreferred(home: boolean): void {
    if (home === this.#isHome) return;
    const { counters, clock } = this.#context;
    this.#isHome = home;
    counters.homeConnections += home ? 1 : -1;
    if (clock.now - this.#openedAt < HOME_MOVE_AFTER_MS) return;
    if (home) counters.homeMovesIn++;
    else counters.homeMovesOut++;
  }
}
