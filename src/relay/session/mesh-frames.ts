import { FrameType, KEY_BYTES, PeerGoneReason } from '../../wire/frames.ts';
import { isZeroKey } from '../../wire/keys.ts';
import type { RefusalReason } from '../../observe/counters.ts';
import { RouteResult } from '../routing/router.ts';
import type { SessionContext } from './context.ts';
import type { FrameReader } from './frame-reader.ts';
import { type FeedReader, PresenceFeed } from './presence-feed.ts';

/** The session's side of its mesh frames. */
export interface MeshFrameOwner extends FeedReader {
  peerGone(key: Buffer, reason: PeerGoneReason): void;
  refused(reason: RefusalReason, detail: string): void;
}

/** Handles the additional frames of a connection with the mesh key (protocol reference §4.10). */
export class MeshFrames {
  readonly #owner: MeshFrameOwner;
  readonly #reader: FrameReader;
  readonly #context: SessionContext;
  /** The client has our own key: it is this relay, which needs no reports about itself. */
  readonly #isSelf: boolean;
  /** Null until the client watches. */
  #feed: PresenceFeed | null = null;

  constructor(key: Buffer, owner: MeshFrameOwner, reader: FrameReader, context: SessionContext) {
    this.#isSelf = key.equals(context.keyPair.publicKey);
    this.#owner = owner;
    this.#reader = reader;
    this.#context = context;
  }

  /** A frame of one of the three types, whose length is valid; payload `[from, to)`. */
  frame(type: number, buffer: Buffer, from: number, to: number): void {
    if (type === FrameType.ForwardPacket) this.#forward(buffer, from, to);
    else if (type === FrameType.WatchConns) this.#watch();
    else this.#context.router.closePeer(buffer.subarray(from, to));
  }

  /** Queues reports for the client as far as there is room; returns true when more are waiting. */
  fill(): boolean {
    return this.#feed?.fill() ?? false;
  }

  /** The connection is gone. */
  close(): void {
    if (this.#feed === null) return;
    this.#feed.close();
    this.#feed = null;
    this.#context.counters.watchers--;
  }

  #forward(buffer: Buffer, keysAt: number, to: number): void {
    const { router } = this.#context;
    if (isZeroKey(buffer.subarray(keysAt, keysAt + KEY_BYTES))) {
      // A RecvPacket frame with it would be one of version 1, without a source (§2.2).
      this.#owner.refused('mesh_source', 'a forwarded packet has no source key');
      return;
    }
    const destinationAt = keysAt + KEY_BYTES;
    const result = router.routeForwarded(buffer, keysAt, destinationAt + KEY_BYTES, to);
    if (result === RouteResult.Full) {
      this.#reader.keepFrame();
      router.whenTaking(this.#reader, buffer, destinationAt);
    } else if (result === RouteResult.NotHere) {
      const key = Buffer.from(buffer.subarray(destinationAt, destinationAt + KEY_BYTES));
      this.#owner.peerGone(key, PeerGoneReason.NotHere);
    }
  }

  #watch(): void {
    if (this.#isSelf) return;
    if (this.#feed !== null) {
      this.#feed.tellAll();
      return;
    }
    this.#context.counters.watchers++;
    this.#feed = new PresenceFeed(this.#context.router, this.#owner);
  }
}
