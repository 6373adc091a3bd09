/**
 * The relay threads of one process as one of them sees the others: it reports its connections to them, knows theirs,
 * and passes packets on. `ring.ts` is the memory between two threads, `thread-link.ts` one other thread, and
 * `remote-connection.ts` a connection of that thread.
 */
import { internalError } from '../../base/errors.ts';
import type { PacketKind } from '../../observe/counters.ts';
import { type Counters, DropReason } from '../../observe/counters.ts';
import { KEY_BYTES } from '../../wire/frames.ts';
import { Speech } from '../routing/duplicates.ts';
import type { EventOrder } from '../routing/event-order.ts';
import { KEY_WORDS } from '../routing/key-words.ts';
import type { Peer } from '../routing/peer.ts';
import { ForwardedSource } from '../routing/forwarded-source.ts';
import type { Presence, Recipient, Source } from '../routing/recipient.ts';
import type { ConnectionListener, Router } from '../routing/router.ts';
import type { LoopTurn, Reader } from '../session/loop-turn.ts';
import { RemoteConnection } from './remote-connection.ts';
import { KeysOfLinks } from './thread-forwarder.ts';
import { RING_BYTES } from './ring.ts';
import { type LinkReceiver, RecordKind, type ThreadChannel, ThreadLink, UNPROVED } from './thread-link.ts';

/** Most times that the rings are read again while keys leave. After that, a key may count as gone for a moment. */
const SETTLING_ROUNDS = 4;

/** Value instead of a number of connections: the limit of all keys. */
const COMMON_LIMIT = -1;

/** A connection of this thread, as the others know it. */
interface LocalConnection {
  readonly number: number;
  readonly peer: Peer;
  readonly recipient: Recipient;
  readonly joined: number;
}

interface ThreadLinksParts {
  readonly router: Router;
  readonly turn: LoopTurn;
  readonly counters: Counters;
  /** The order that all threads share, as the router has it. */
  readonly order: EventOrder;
  /** Receives the arguments of {@link ThreadLinks.tellSourceEvent} in another thread. */
  readonly sourceEvent: (event: number, path: readonly string[]) => void;
  /** Receives the arguments of {@link ThreadLinks.tellKeyUse} in another thread. */
  readonly keyUsed: (key: Buffer, numbers: Float64Array) => void;
}

/** This thread's links to all other relay threads. */
export class ThreadLinks implements ConnectionListener, LinkReceiver, Reader {
  readonly #parts: ThreadLinksParts;
  /** By the index of the other thread. */
  readonly #links = new Map<number, ThreadLink>();
  readonly #local = new Map<number, LocalConnection>();
  /** By peer: one recipient may have several keys. */
  readonly #ofPeer = new Map<Peer, LocalConnection[]>();
  #lastNumber = 0;
  /**
   * Peers whose last connection has left, each with that connection, until it is known whether another thread has one.
   */
  readonly #leaving = new Map<Peer, RemoteConnection>();
  readonly #remoteKeys: KeysOfLinks;
  readonly #unproved = new ForwardedSource();
  #isReading = false;
  #isScheduled = false;

  constructor(parts: ThreadLinksParts) {
    this.#parts = parts;
    this.#remoteKeys = new KeysOfLinks(parts.router);
    parts.router.listener = this;
  }

  /** Adds a thread that has started, and tells it all connections of this thread. */
  attach(index: number, channel: ThreadChannel): void {
    this.detach(index);
    const link = new ThreadLink(channel, this, this.#parts.turn);
    this.#links.set(index, link);
    for (const connection of this.#local.values()) tellJoined(link, connection);
    for (const connections of this.#ofPeer.values()) this.#tellSpeech(connections[0]!);
    this.#parts.router.remote.forEachOwn((key) => link.tellForwarding(key, 0, true));
    this.woken();
  }

  /** Removes a thread that has ended, with its connections and the keys that no other thread has. */
  detach(index: number): void {
    const link = this.#links.get(index);
    if (link === undefined) return;
    // The records that it wrote before it ended are delivered.
    this.#readAll();
    this.#links.delete(index);
    for (const connection of link.connections.values()) this.#left(connection);
    this.#remoteKeys.close(link);
    this.#settle();
    link.close();
  }

  /** Tells the other threads of an event of a source, so that each counts it. A thread whose ring is full is not told. */
  tellSourceEvent(event: number, path: readonly string[]): void {
    const payload = Buffer.from(JSON.stringify(path));
    const record = { kind: RecordKind.SourceEvent, connection: 0, detail: event, event: 0, key: null, payload };
    for (const link of this.#links.values()) link.tellIfRoom(record);
  }

  /** Tells the other threads some numbers about what `key`, 32 bytes, has used. A thread whose ring is full is not told. */
  tellKeyUse(key: Buffer, numbers: Float64Array): void {
    const words = Int32Array.from({ length: KEY_WORDS }, (_, i) => key.readInt32LE(i * 4));
    const payload = Buffer.from(numbers.buffer);
    const record = { kind: RecordKind.KeyUsed, connection: 0, detail: 0, event: 0, key: words, payload };
    for (const link of this.#links.values()) link.tellIfRoom(record);
  }

  /** Keys that have connections here and in other threads. */
  *sharedKeys(): IterableIterator<Buffer> {
    for (const peer of this.#ofPeer.keys()) {
      if (peer.size < 2) continue;
      for (const { isElsewhere } of peer.members) {
        if (isElsewhere !== true) continue;
        yield peer.key;
        break;
      }
    }
  }

  /** Number of connections that other threads have. */
  get remoteConnections(): number {
    let count = 0;
    for (const { connections } of this.#links.values()) count += connections.size;
    return count;
  }

  /** Ends all links without notices. */
  close(): void {
    this.#parts.router.listener = null;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  // ---- from the router

  joined(peer: Peer, recipient: Recipient, joined: number): void {
    this.#lastNumber = (this.#lastNumber + 1) | 0;
    const connection = { number: this.#lastNumber, peer, recipient, joined };
    this.#local.set(connection.number, connection);
    const others = this.#ofPeer.get(peer);
    if (others === undefined) this.#ofPeer.set(peer, [connection]);
    else others.push(connection);
    for (const link of this.#links.values()) tellJoined(link, connection);
  }

  left(peer: Peer, recipient: Recipient): void {
    const connection = this.#find(peer, recipient);
    if (connection === undefined) return;
    this.#local.delete(connection.number);
    const rest = this.#ofPeer.get(peer)!.filter((other) => other !== connection);
    if (rest.length === 0) this.#ofPeer.delete(peer);
    else this.#ofPeer.set(peer, rest);
    const control = {
      kind: RecordKind.Left,
      connection: connection.number,
      detail: 0,
      event: 0,
      key: null,
      payload: null,
    };
    for (const link of this.#links.values()) link.tell(control);
  }

  spoke(peer: Peer, recipient: Recipient, speech: Speech, at: number): void {
    const connection = this.#find(peer, recipient);
    if (connection === undefined) return;
    const control = {
      ...{ kind: RecordKind.Spoke, connection: connection.number, detail: speech, event: at },
      ...{ key: null, payload: null },
    };
    for (const link of this.#links.values()) link.tell(control);
  }

  forwarded(buffer: Buffer, at: number): void {
    for (const link of this.#links.values()) link.tellForwarding(buffer, at, true);
  }

  unforwarded(buffer: Buffer, at: number): void {
    for (const link of this.#links.values()) link.tellForwarding(buffer, at, false);
  }

  missed(): boolean {
    if (this.#isReading) return false;
    let isEmpty = true;
    for (const link of this.#links.values()) isEmpty &&= link.isEmpty;
    if (isEmpty) return false;
    this.#readAll();
    this.#schedule();
    return true;
  }

  // ---- from the links

  woken(): void {
    this.#readAll();
    this.#resumeSenders();
    this.#schedule();
  }

  resumeLater(): void {
    this.#schedule();
  }

  /** Reads on in a new turn, and sleeps when there is nothing more. */
  resumeReading(): number {
    this.#isScheduled = false;
    const bytes = this.#readAll();
    this.#resumeSenders();
    if (bytes > 0 || !this.#sleep()) this.#schedule();
    return bytes;
  }

  record(
    link: ThreadLink,
    kind: number,
    number: number,
    detail: number,
    event: number,
    buffer: Buffer,
    keyAt: number,
    from: number,
    to: number,
  ): void {
    try {
      if (kind === RecordKind.Packet) this.#packet(number, detail, buffer, keyAt, from, to);
      else if (kind === RecordKind.Forward) this.#forward(detail, buffer, keyAt, from, to);
      else if (kind === RecordKind.Joined) this.#joined(link, number, detail, event, buffer, keyAt, from, to);
      else if (kind === RecordKind.JoinedSpeaking) {
        this.#joined(link, number, detail, event, buffer, keyAt, from, to);
        const connection = link.connections.get(number);
        if (connection !== undefined) connection.peer?.spokeFirst(connection);
      } else if (kind === RecordKind.ClosePeer) this.#local.get(number)?.recipient.closePeer();
      else if (kind === RecordKind.Left) this.#left(link.connections.get(number));
      else if (kind === RecordKind.Spoke) this.#spoke(link.connections.get(number), detail as Speech, event);
      else if (kind === RecordKind.KeyUsed) {
        const numbers = new Float64Array(Uint8Array.from(buffer.subarray(from, to)).buffer);
        this.#parts.keyUsed(keyOf(buffer, keyAt), numbers);
      } else if (kind === RecordKind.SourceEvent) {
        this.#parts.sourceEvent(detail, JSON.parse(buffer.toString('utf8', from, to)) as string[]);
      } else if (kind === RecordKind.Forwarded) this.#remoteKeys.forwarded(link, buffer, keyAt);
      else if (kind === RecordKind.Unforwarded) this.#remoteKeys.unforwarded(link, buffer, keyAt);
    } catch (error) {
      // An exception of one connection must not lose the records of others that follow.
      internalError('thread link', error);
    }
  }

  // ---- records of the other threads

  #packet(number: number, detail: number, buffer: Buffer, keyAt: number, from: number, to: number): void {
    const { router, counters } = this.#parts;
    const kind = (detail & ~UNPROVED) as PacketKind;
    const connection = this.#local.get(number);
    if (connection === undefined) {
      counters.drop(DropReason.GoneDisconnected, kind, to - from);
      return;
    }
    const source = this.#source(detail, buffer, keyAt);
    router.deliverFromElsewhere(source, connection.peer, connection.recipient, buffer, from, to, kind);
  }

  /** Forwards a packet to the key in front of it, which a link of this thread leads to. */
  #forward(detail: number, buffer: Buffer, keyAt: number, destinationAt: number, to: number): void {
    const { router } = this.#parts;
    const kind = (detail & ~UNPROVED) as PacketKind;
    const source = this.#source(detail, buffer, keyAt);
    router.forwardFromElsewhere(source, buffer, destinationAt, destinationAt + KEY_BYTES, to, kind);
  }

  /** Returns the source of a packet with this detail, whose key is at `keyAt`. */
  #source(detail: number, buffer: Buffer, keyAt: number): Source {
    const known = (detail & UNPROVED) === 0 ? this.#parts.router.table.find(buffer, keyAt) : null;
    if (known !== null) return known;
    this.#unproved.read(buffer, keyAt);
    return this.#unproved;
  }

  #joined(
    link: ThreadLink,
    number: number,
    connectionsPerKey: number,
    joined: number,
    buffer: Buffer,
    keyAt: number,
    from: number,
    to: number,
  ): void {
    const { router } = this.#parts;
    const presence = JSON.parse(buffer.toString('utf8', from, to)) as Presence;
    const connection = new RemoteConnection(link, number, presence);
    link.connections.set(number, connection);
    const known = router.table.find(buffer, keyAt);
    const leaving = known === null ? undefined : this.#leaving.get(known);
    if (known === null || leaving === undefined) {
      connection.peer = router.registerElsewhere(
        known?.key ?? keyOf(buffer, keyAt),
        connection,
        joined,
        mostOf(connectionsPerKey),
      );
      return;
    }
    // The key has gone from one thread to another, without a time when it was in none.
    this.#leaving.delete(known);
    router.replaceElsewhere(known, leaving, connection, joined);
    known.mostConnections = mostOf(connectionsPerKey);
    connection.peer = known;
  }

  #left(connection: RemoteConnection | undefined): void {
    const peer = connection?.peer ?? null;
    if (connection === undefined || peer === null) return;
    connection.forget();
    // The rings have no common order: another thread may already have reported the key.
    if (peer.size === 1) this.#leaving.set(peer, connection);
    else this.#parts.router.unregisterElsewhere(peer, connection);
  }

  #spoke(connection: RemoteConnection | undefined, speech: Speech, at: number): void {
    if (connection !== undefined) connection.peer?.spoke(connection, speech, at);
  }

  /** Reads all rings; returns how many bytes. */
  #readAll(): number {
    if (this.#isReading) return 0;
    this.#isReading = true;
    let bytes = 0;
    try {
      for (const link of this.#links.values()) bytes += link.read(RING_BYTES);
      for (let round = 0; this.#isSettling && round < SETTLING_ROUNDS; round++) {
        const [left, unforwarded] = [[...this.#leaving], this.#remoteKeys.leaving];
        for (const link of this.#links.values()) bytes += link.read(RING_BYTES);
        this.#settle(left, unforwarded);
      }
      this.#settle();
    } finally {
      this.#isReading = false;
    }
    return bytes;
  }

  /** Removes the keys that no other thread has reported meanwhile. */
  #settle(
    left: readonly [Peer, RemoteConnection][] = [...this.#leaving],
    unforwarded: readonly string[] = this.#remoteKeys.leaving,
  ): void {
    for (const [peer, connection] of left) {
      if (this.#leaving.get(peer) !== connection) continue;
      this.#leaving.delete(peer);
      this.#parts.router.unregisterElsewhere(peer, connection);
    }
    this.#remoteKeys.settle(unforwarded);
  }

  get #isSettling(): boolean {
    return this.#leaving.size > 0 || this.#remoteKeys.isLeaving;
  }

  #resumeSenders(): void {
    for (const link of this.#links.values()) link.resume();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    for (const link of this.#links.values()) link.awake();
    this.#parts.turn.resumeAtEnd(this);
  }

  /** Asks all threads to wake this one. Returns false when a record has come meanwhile. */
  #sleep(): boolean {
    for (const link of this.#links.values()) if (!link.sleep()) return false;
    return true;
  }

  // ---- to the other threads

  #find(peer: Peer, recipient: Recipient): LocalConnection | undefined {
    return this.#ofPeer.get(peer)?.find((connection) => connection.recipient === recipient);
  }

  /** Tells the other threads again which connection of a key has spoken last, because one of them does not know it. */
  #tellSpeech({ peer }: LocalConnection): void {
    if (peer.size < 2) return;
    const at = this.#parts.order.next();
    const speaker = peer.active ?? this.#ofPeer.get(peer)![0]!.recipient;
    const speech = peer.active === null ? Speech.Fight : Speech.Active;
    if (this.#find(peer, speaker) === undefined) return;
    peer.spoke(speaker, speech, at);
    this.spoke(peer, speaker, speech, at);
  }
}

function tellJoined(link: ThreadLink, { number, joined, peer, recipient }: LocalConnection): void {
  const payload = Buffer.from(JSON.stringify(recipient.presence()));
  link.tell({
    kind: peer.isSpeaker(recipient) ? RecordKind.JoinedSpeaking : RecordKind.Joined,
    connection: number,
    detail: peer.mostConnections ?? COMMON_LIMIT,
    event: joined,
    key: peer.words,
    payload,
  });
}

function mostOf(connectionsPerKey: number): number | null {
  return connectionsPerKey === COMMON_LIMIT ? null : connectionsPerKey;
}

function keyOf(buffer: Buffer, at: number): Buffer {
  return Buffer.from(buffer.subarray(at, at + KEY_BYTES));
}
