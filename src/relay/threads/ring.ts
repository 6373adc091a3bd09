/**
 * Bytes between two threads: a ring in shared memory that one thread writes and one thread reads, without a lock. A record
 * has a fixed header and a payload, and lies in one piece. Both ends are pure: they wake nobody.
 */
import { KEY_BYTES } from '../../wire/frames.ts';
import { KEY_WORDS } from '../routing/key-words.ts';

/** Memory of a ring behind its header; a power of two. A quarter of it costs 1.3 times as much per packet: it is full too often. */
export const RING_BYTES = 1_048_576;
/** The part that packets leave free, so that the coming and leaving of keys is not held up behind them. */
const CONTROL_SHARE = 1 / 8;
/** The part that is free when a writer that had to wait goes on: the largest packet finds room then, wherever it begins. */
const SPACE_SHARE = 3 / 4;

/** Words at the start of the shared memory, each in a cache line of its own. */
const HeadWord = {
  /** Bytes written so far, modulo 2³². */
  Written: 0,
  /** Bytes read so far. */
  Read: 16,
  /** 1 while the reader does not look at the ring and has to be woken. */
  Asleep: 32,
  /** 1 while the writer waits for space and has to be woken. */
  Waits: 48,
} as const;
const HEAD_BYTES = 256;

/** Words of the header of a record. */
const Word = { PayloadBytes: 0, Kind: 1, Connection: 2, Detail: 3, Event: 4, Key: 6 } as const;
const HEADER_WORDS = Word.Key + KEY_WORDS;
/** Bytes of the header of a record. */
export const RECORD_HEADER_BYTES: number = HEADER_WORDS * 4;
/** In the place of `PayloadBytes`: the rest of the ring is empty, the next record is at its start. */
const SKIP = -1;

/** A record that is no packet. */
export interface ControlRecord {
  /** What the record is, for who reads it. */
  readonly kind: number;
  /** The number of a connection, 32 bits. */
  readonly connection: number;
  /** One more number of 32 bits. */
  readonly detail: number;
  /** The number of an event in an `EventOrder`. */
  readonly event: number;
  /** As eight little-endian words. */
  readonly key: Int32Array | null;
  /** A few hundred bytes at most. */
  readonly payload: Buffer | null;
}

/** Given each record. What it is given is valid during the call only. */
export interface RecordReader {
  /** `buffer` has the key, 32 bytes, at `keyAt`, and the payload in `[from, to)`. */
  record(
    kind: number,
    connection: number,
    detail: number,
    event: number,
    buffer: Buffer,
    keyAt: number,
    from: number,
    to: number,
  ): void;
}

/** Shared memory for one ring of `bytes`, a power of two. */
export function createRing(bytes: number = RING_BYTES): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + bytes);
}

/** What both ends see. */
class RingMemory {
  readonly head: Int32Array;
  readonly words: Int32Array;
  /** The same memory, for the numbers of events. */
  readonly events: Float64Array;
  readonly bytes: Buffer;
  readonly size: number;

  constructor(memory: SharedArrayBuffer) {
    this.head = new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.words = new Int32Array(memory, HEAD_BYTES);
    this.events = new Float64Array(memory, HEAD_BYTES);
    this.bytes = Buffer.from(memory, HEAD_BYTES);
    this.size = this.bytes.length;
  }
}

/** The writing end. Nothing is seen by the reader before {@link publish}. */
export class RingWriter {
  readonly #memory: RingMemory;
  #written: number;
  #published: number;
  #read: number;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new RingMemory(memory);
    this.#written = this.#published = Atomics.load(this.#memory.head, HeadWord.Written);
    this.#read = Atomics.load(this.#memory.head, HeadWord.Read);
  }

  /**
   * Writes a packet: the payload `[from, to)` of `buffer`, and the key of its source as eight words. False when there is no
   * room for it.
   */
  packet(
    kind: number,
    connection: number,
    detail: number,
    key: Int32Array,
    buffer: Buffer,
    from: number,
    to: number,
  ): boolean {
    const at = this.#packetHeader(kind, connection, detail, key, to - from);
    if (at < 0) return false;
    buffer.copy(this.#memory.bytes, at, from, to);
    return true;
  }

  /** The same for a packet to a key and not to a connection: `destination`, as eight words, is in front of the payload. */
  forward(
    kind: number,
    detail: number,
    key: Int32Array,
    destination: Int32Array,
    buffer: Buffer,
    from: number,
    to: number,
  ): boolean {
    const at = this.#packetHeader(kind, 0, detail, key, KEY_BYTES + to - from);
    if (at < 0) return false;
    const { words, bytes } = this.#memory;
    for (let i = 0; i < KEY_WORDS; i++) words[(at >> 2) + i] = destination[i]!;
    buffer.copy(bytes, at + KEY_BYTES, from, to);
    return true;
  }

  /** Writes what is no packet, with a key or without. False when there is no room for it. */
  control({ kind, connection, detail, event, key, payload }: ControlRecord): boolean {
    const { words, events, bytes } = this.#memory;
    const payloadBytes = payload?.length ?? 0;
    const at = this.#reserve(payloadBytes, 0);
    if (at < 0) return false;
    const word = at >> 2;
    words[word + Word.PayloadBytes] = payloadBytes;
    words[word + Word.Kind] = kind;
    words[word + Word.Connection] = connection;
    words[word + Word.Detail] = detail;
    events[(word + Word.Event) >> 1] = event;
    if (key !== null) words.set(key, word + Word.Key);
    payload?.copy(bytes, at + RECORD_HEADER_BYTES);
    return true;
  }

  /** Shows the reader all that was written. True when the reader is asleep, and this call is the one that has to wake it. */
  publish(): boolean {
    const { head } = this.#memory;
    this.#published = this.#written;
    Atomics.store(head, HeadWord.Written, this.#written);
    return Atomics.load(head, HeadWord.Asleep) === 1 && Atomics.exchange(head, HeadWord.Asleep, 0) === 1;
  }

  /** Asks the reader to wake this side when it has read on; false when there is room already. */
  awaitSpace(): boolean {
    const { head } = this.#memory;
    Atomics.store(head, HeadWord.Waits, 1);
    return !this.hasSpace();
  }

  /** Looks how far the reader is: true when a packet of whatever size finds room. */
  hasSpace(): boolean {
    this.#look();
    return this.#free >= this.#memory.size * SPACE_SHARE;
  }

  /** Bytes that the reader has not been shown. */
  get hiddenBytes(): number {
    return (this.#written - this.#published) | 0;
  }

  #look(): void {
    this.#read = Atomics.load(this.#memory.head, HeadWord.Read);
  }

  get #free(): number {
    return this.#memory.size - ((this.#written - this.#read) | 0);
  }

  /** The header of a packet; returns where its payload goes, or −1 when there is no room. */
  #packetHeader(kind: number, connection: number, detail: number, key: Int32Array, payloadBytes: number): number {
    const { words, size } = this.#memory;
    const at = this.#reserve(payloadBytes, size * CONTROL_SHARE);
    if (at < 0) return -1;
    const word = at >> 2;
    words[word + Word.PayloadBytes] = payloadBytes;
    words[word + Word.Kind] = kind;
    words[word + Word.Connection] = connection;
    words[word + Word.Detail] = detail;
    for (let i = 0; i < KEY_WORDS; i++) words[word + Word.Key + i] = key[i]!;
    return at + RECORD_HEADER_BYTES;
  }

  /** Makes room for a record, beyond which `spare` bytes stay free; returns where it goes, or −1. */
  #reserve(payloadBytes: number, spare: number): number {
    const { size, words } = this.#memory;
    const bytes = recordBytes(payloadBytes);
    let at = this.#written & (size - 1);
    const skipped = bytes > size - at ? size - at : 0;
    if (this.#free < skipped + bytes + spare) {
      this.#look();
      if (this.#free < skipped + bytes + spare) return -1;
    }
    if (skipped > 0) {
      words[at >> 2] = SKIP;
      at = 0;
    }
    this.#written = (this.#written + skipped + bytes) | 0;
    return at;
  }
}

/** The reading end. */
export class RingReader {
  readonly #memory: RingMemory;
  #read: number;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new RingMemory(memory);
    this.#read = Atomics.load(this.#memory.head, HeadWord.Read);
  }

  /** Nothing that was published waits. */
  get isEmpty(): boolean {
    return Atomics.load(this.#memory.head, HeadWord.Written) === this.#read;
  }

  /**
   * Hands over what is published now, up to `mostBytes` and the record that reaches it. Returns the bytes read, headers
   * included. Where `reader` throws, the record counts as read.
   */
  read(reader: RecordReader, mostBytes: number): number {
    const { head, words, events, bytes, size } = this.#memory;
    const written = Atomics.load(head, HeadWord.Written);
    const begin = this.#read;
    try {
      while (this.#read !== written && ((this.#read - begin) | 0) < mostBytes) {
        const at = this.#read & (size - 1);
        const word = at >> 2;
        const payloadBytes = words[word + Word.PayloadBytes]!;
        if (payloadBytes === SKIP) {
          this.#read = (this.#read + size - at) | 0;
          continue;
        }
        this.#read = (this.#read + recordBytes(payloadBytes)) | 0;
        const payloadAt = at + RECORD_HEADER_BYTES;
        reader.record(
          words[word + Word.Kind]!,
          words[word + Word.Connection]!,
          words[word + Word.Detail]!,
          events[(word + Word.Event) >> 1]!,
          bytes,
          at + Word.Key * 4,
          payloadAt,
          payloadAt + payloadBytes,
        );
      }
    } finally {
      Atomics.store(head, HeadWord.Read, this.#read);
    }
    return (this.#read - begin) | 0;
  }

  /** True when the writer waits for space, and this call is the one that has to wake it. */
  takeWaiting(): boolean {
    const { head } = this.#memory;
    return Atomics.load(head, HeadWord.Waits) === 1 && Atomics.exchange(head, HeadWord.Waits, 0) === 1;
  }

  /** From now on the writer has to wake this side. False when something waits already: then it does not. */
  sleep(): boolean {
    const { head } = this.#memory;
    Atomics.store(head, HeadWord.Asleep, 1);
    if (this.isEmpty) return true;
    Atomics.store(head, HeadWord.Asleep, 0);
    return false;
  }

  /** This side looks at the ring again by itself. */
  awake(): void {
    Atomics.store(this.#memory.head, HeadWord.Asleep, 0);
  }
}

function recordBytes(payloadBytes: number): number {
  return (RECORD_HEADER_BYTES + payloadBytes + 7) & ~7;
}
