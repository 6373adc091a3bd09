import { KEY_BYTES } from '../../wire/frames.ts';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { internalError } from '../../base/errors.ts';
import { KEY_WORDS } from '../routing/key-words.ts';
import { Delivery, type NodeKey, type Source, type WaitingSender } from '../routing/recipient.ts';
import type { PacketKind } from '../../observe/counters.ts';
import type { Flushable, LoopTurn } from '../session/loop-turn.ts';
import type { RemoteConnection } from './remote-connection.ts';
import { type ConnectionLink } from './remote-connection.ts';
import { ThreadForwarder } from './thread-forwarder.ts';
import { createRing, RingReader, RingWriter, type ControlRecord, type RecordReader } from './ring.ts';

/** The kinds of records in a ring. */
export const RecordKind = {
  /** A packet for the connection; `detail` is its `PacketKind`, and {@link UNPROVED}; the key is that of its source. */
  Packet: 0,
  /**
   * A connection of the key has opened; `detail` is how many connections the key may have, the payload its `Presence`
   * as JSON.
   */
  Joined: 1,
  Left: 2,
  /** A connection has sent a frame; `detail` is the `Speech`. */
  Spoke: 3,
  /** To the thread of a connection: another relay of the region wants it to end. */
  ClosePeer: 4,
  /** As {@link RecordKind.Joined}, for one of several connections that counts as a speaker from the start. */
  JoinedSpeaking: 5,
  /** A link of this thread leads to the key, which is connected to another relay of the region. */
  Forwarded: 6,
  /** No link of this thread leads to the key any more. */
  Unforwarded: 7,
  /** As {@link RecordKind.Packet}, for a key that a link of the other thread leads to: the payload begins with this key. */
  Forward: 8,
  /** An event of a source, limited for all threads together: `detail` is its number, the payload the path of the source as JSON. */
  SourceEvent: 9,
  /**
   * The use of the key's rate in this thread: the payload is four float64 in the byte order of the machine, see
   * `KeyUse`.
   */
  KeyUsed: 10,
} as const;
/** In the detail of a packet: another relay of the region has forwarded it, so that the key of its source is not proved here. */
export const UNPROVED = 2;

/** The two rings between two threads as one of them has them, and the port that wakes the other. */
export interface ThreadChannel {
  readonly outgoing: SharedArrayBuffer;
  readonly incoming: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** Makes memory and ports for two threads. Returns the channel of each of the two. */
export function createChannels(): readonly [ThreadChannel, ThreadChannel] {
  const [there, back] = [createRing(), createRing()];
  const { port1, port2 } = new MessageChannel();
  return [
    { outgoing: there, incoming: back, port: port1 },
    { outgoing: back, incoming: there, port: port2 },
  ];
}

/**
 * Bytes after which the other thread is shown the records before the end of the turn, so that both threads work at
 * once.
 */
const SHOWN_EARLY_BYTES = 65_536;
const WAKE = 0;

/** Handles the records of another thread. */
export interface LinkReceiver {
  /** Called when the other thread has written, or has read what it was sent. */
  woken(): void;
  /** Called when there is room again: the receiver lets the link resume in a later turn. */
  resumeLater(): void;
  record(link: ThreadLink, ...record: Parameters<RecordReader['record']>): void;
}

/** Another thread as this one sees it: a ring each way, its connections, and the senders that wait for it. */
export class ThreadLink implements ConnectionLink, Flushable, RecordReader {
  /** The connections of the other thread by their numbers there. */
  readonly connections: Map<number, RemoteConnection> = new Map();
  /** Leads to the keys that links of the other thread lead to. */
  readonly forwarder: ThreadForwarder = new ThreadForwarder(this);
  readonly #receiver: LinkReceiver;
  readonly #turn: LoopTurn;
  readonly #writer: RingWriter;
  readonly #reader: RingReader;
  readonly #port: MessagePort;
  #isTouched = false;
  /** True after a packet found no room: later packets must wait, too. */
  #isFull = false;
  #waiting: WaitingSender[] = [];
  /** Records that found no room: all about joining and leaving; of speaking, only the latest of each connection. */
  #unsent: ControlRecord[] = [];
  readonly #unsentSpeech = new Map<number, ControlRecord>();
  /** By key in hex. */
  readonly #unsentForwarding = new Map<string, ControlRecord>();

  constructor({ outgoing, incoming, port }: ThreadChannel, receiver: LinkReceiver, turn: LoopTurn) {
    this.#receiver = receiver;
    this.#turn = turn;
    this.#writer = new RingWriter(outgoing);
    this.#reader = new RingReader(incoming);
    this.#port = port;
    port.on('message', () => receiver.woken());
  }

  // ---- to the other thread

  deliver(number: number, source: Source, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    const detail = source.isProved ? kind : kind | UNPROVED;
    if (this.#isFull || !this.#writer.packet(RecordKind.Packet, number, detail, source.words, buffer, from, to)) {
      return this.#full();
    }
    return this.#wrote();
  }

  /** Writes a packet for a key that a link of the other thread leads to. */
  forward(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    const detail = source.isProved ? kind : kind | UNPROVED;
    const [key, words] = [source.words, destination.words];
    if (this.#isFull || !this.#writer.forward(RecordKind.Forward, detail, key, words, buffer, from, to)) {
      return this.#full();
    }
    return this.#wrote();
  }

  #full(): Delivery {
    this.#isFull = true;
    this.#show();
    return Delivery.Full;
  }

  #wrote(): Delivery {
    if (this.#writer.hiddenBytes >= SHOWN_EARLY_BYTES) {
      this.#show();
    } else if (!this.#isTouched) {
      this.#isTouched = true;
      this.#turn.flushAtEnd(this);
    }
    return Delivery.Taken;
  }

  whenTaking(sender: WaitingSender): void {
    this.#waiting.push(sender);
    if (!this.#writer.awaitSpace()) this.#receiver.resumeLater();
  }

  /** Tells the other thread of an event, at once, so that it knows of it before any client does. */
  tell(control: ControlRecord): void {
    if (this.#hasUnsent || !this.#writer.control(control)) {
      if (control.kind === RecordKind.Spoke) this.#unsentSpeech.set(control.connection, control);
      else this.#unsent.push(control);
      this.#awaitRoom();
    } else {
      this.#show();
    }
  }

  /** Tells the other thread something at the end of the turn, if there is room for it. */
  tellIfRoom(control: ControlRecord): void {
    if (this.#isFull || !this.#writer.control(control) || this.#isTouched) return;
    this.#isTouched = true;
    this.#turn.flushAtEnd(this);
  }

  get #hasUnsent(): boolean {
    return this.#unsent.length > 0 || this.#unsentSpeech.size > 0 || this.#unsentForwarding.size > 0;
  }

  #awaitRoom(): void {
    this.#isFull = true;
    if (!this.#writer.awaitSpace()) this.#receiver.resumeLater();
    this.#show();
  }

  /** Tells the other thread whether a link of this one leads to the key at `at`, each time that it changes. */
  tellForwarding(buffer: Buffer, at: number, isForwarded: boolean): void {
    const kind = isForwarded ? RecordKind.Forwarded : RecordKind.Unforwarded;
    const key = Int32Array.from({ length: KEY_WORDS }, (_, i) => buffer.readInt32LE(at + i * 4));
    const control = { kind, connection: 0, detail: 0, event: 0, key, payload: null };
    if (!this.#hasUnsent && this.#writer.control(control)) {
      this.#show();
      return;
    }
    const name = buffer.toString('hex', at, at + KEY_BYTES);
    // The last change is not sent yet, and this one undoes it: neither is sent.
    if (!this.#unsentForwarding.delete(name)) this.#unsentForwarding.set(name, control);
    this.#awaitRoom();
  }

  closePeer(number: number): void {
    this.tell({ kind: RecordKind.ClosePeer, connection: number, detail: 0, event: 0, key: null, payload: null });
  }

  /** The end of a turn: shows the other thread what was written in it. */
  flush(): void {
    this.#isTouched = false;
    this.#show();
  }

  /** Lets waiting senders continue if there is room. */
  resume(): void {
    if (!this.#isFull) return;
    if (!this.#writer.hasSpace()) {
      // It was woken when there was some room, and must be woken again when there is enough.
      if (!this.#writer.awaitSpace()) this.#receiver.resumeLater();
      return;
    }
    if (!this.#sendUnsent()) return;
    this.#isFull = false;
    const senders = this.#waiting;
    this.#waiting = [];
    for (const [index, sender] of senders.entries()) {
      resume(sender);
      if (!this.isFull) continue;
      this.#waiting = [...senders.slice(index + 1), ...this.#waiting];
      break;
    }
    if (this.isFull && !this.#writer.awaitSpace()) this.#receiver.resumeLater();
  }

  /** True while packets have to wait. */
  get isFull(): boolean {
    return this.#isFull;
  }

  // ---- from the other thread

  /** Delivers the records that have arrived, up to `mostBytes`. Returns the number of bytes. */
  read(mostBytes: number): number {
    const bytes = this.#reader.read(this, mostBytes);
    if (bytes > 0 && this.#reader.takeWaiting()) this.#port.postMessage(WAKE);
    return bytes;
  }

  get isEmpty(): boolean {
    return this.#reader.isEmpty;
  }

  // Rest parameters would cost an array per packet on Node.
  record(
    kind: number,
    connection: number,
    detail: number,
    event: number,
    buffer: Buffer,
    keyAt: number,
    from: number,
    to: number,
  ): void {
    this.#receiver.record(this, kind, connection, detail, event, buffer, keyAt, from, to);
  }

  /** Asks to be woken. Returns false when a record already waits. */
  sleep(): boolean {
    return this.#reader.sleep();
  }

  awake(): void {
    this.#reader.awake();
  }

  /** The other thread has ended: nothing is written any more, and no sender waits for it. */
  close(): void {
    this.#port.close();
    this.#unsent = [];
    this.#unsentSpeech.clear();
    this.#unsentForwarding.clear();
    const senders = this.#waiting;
    this.#waiting = [];
    for (const sender of senders) resume(sender);
  }

  #show(): void {
    if (this.#writer.publish()) this.#port.postMessage(WAKE);
  }

  /** Sends the records that found no room. Returns false when some must still wait. */
  #sendUnsent(): boolean {
    if (!this.#hasUnsent) return true;
    let sent = 0;
    while (sent < this.#unsent.length && this.#writer.control(this.#unsent[sent]!)) sent++;
    this.#unsent = this.#unsent.slice(sent);
    const isWhole =
      this.#unsent.length === 0 && this.#sendEach(this.#unsentSpeech) && this.#sendEach(this.#unsentForwarding);
    this.#show();
    if (!isWhole && !this.#writer.awaitSpace()) this.#receiver.resumeLater();
    return isWhole;
  }

  /** Sends these records. Returns false when there is no room for the rest. */
  #sendEach<Key>(unsent: Map<Key, ControlRecord>): boolean {
    for (const [key, control] of unsent) {
      if (!this.#writer.control(control)) return false;
      unsent.delete(key);
    }
    return true;
  }
}

function resume(sender: WaitingSender): void {
  try {
    sender.sendMore();
  } catch (error) {
    internalError('thread link', error);
  }
}
