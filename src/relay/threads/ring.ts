/**
 * A ring of bytes in shared memory, without a lock: one thread writes, one thread reads. A record has a fixed header
 * and a payload, and is contiguous. The ring itself never wakes a thread.
 */
import { KEY_BYTES } from '../../wire/frames.ts';
import { KEY_WORDS } from '../routing/key-words.ts';

/**
 * Bytes of a ring without its header; a power of two. With a quarter of this size, a packet costs 1.3 times as much,
 * because the ring is full too often.
 */
export const RING_BYTES = 1_048_576;
/** The share of a ring that packets leave free for records about keys. */
const CONTROL_SHARE = 1 / 8;
/** The free part at which a waiting writer continues: the largest packet then fits at any position. */
const SPACE_SHARE = 3 / 4;

/** Words at the start of the shared memory, each in a cache line of its own. */
const HeadWord = {
  /** Bytes written so far, modulo 2³². */
  Written: 0,
  /** Bytes read so far. */
  Read: 16,
  /** 1 while the reader sleeps and must be woken. */
  Asleep: 32,
  /** 1 while the writer waits for space and must be woken. */
  Waits: 48,
} as const;
const HEAD_BYTES = 256;

/** Words of the header of a record. */
const Word = { PayloadBytes: 0, Kind: 1, Connection: 2, Detail: 3, Event: 4, Key: 6 } as const;
const HEADER_WORDS = Word.Key + KEY_WORDS;
/** Bytes of the header of a record. */
export const RECORD_HEADER_BYTES: number = HEADER_WORDS * 4;
/** Value instead of `PayloadBytes`: the rest of the ring is empty, and the next record is at its start. */
const SKIP = -1;

/** A record that is not a packet. */
export interface ControlRecord {
  /** The kind of the record, for its reader. */
  readonly kind: number;
  /** The number of a connection, 32 bits. */
  readonly connection: number;
  /** One more number of 32 bits. */
  readonly detail: number;
  /** The number of an event in an `EventOrder`. */
  readonly event: number;
  /** Eight little-endian words. */
  readonly key: Int32Array | null;
  /** A few hundred bytes at most. */
  readonly payload: Buffer | null;
}

/** Receives each record. The arguments are valid only during the call. */
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

/** Returns shared memory for one ring of `bytes`, a power of two. */
export function createRing(bytes: number = RING_BYTES): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + bytes);
}

/** The part that both ends use. */
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

/** The writing end. The reader sees nothing before {@link publish}. */
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

  /**
   * Writes a packet to a key instead of a connection: `destination`, as eight words, is in front of the payload. False
   * when there is no room for it.
   */
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

  /** Writes a control record, with a key or without. False when there is no room for it. */
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

  /**
   * Makes all written records visible to the reader. Returns true when the reader sleeps and the caller must wake it.
   */
  publish(): boolean {
    const { head } = this.#memory;
    this.#published = this.#written;
    Atomics.store(head, HeadWord.Written, this.#written);
    return Atomics.load(head, HeadWord.Asleep) === 1 && Atomics.exchange(head, HeadWord.Asleep, 0) === 1;
  }

  /** Asks the reader to wake this side when there is space; false when there is room already. */
  awaitSpace(): boolean {
    const { head } = this.#memory;
    Atomics.store(head, HeadWord.Waits, 1);
    return !this.hasSpace();
  }

  /** Checks how far the reader is; true when a packet of any size fits. */
  hasSpace(): boolean {
    this.#look();
    return this.#free >= this.#memory.size * SPACE_SHARE;
  }

  /** Bytes that are written and not published yet. */
  get hiddenBytes(): number {
    return (this.#written - this.#published) | 0;
  }

  #look(): void {
    this.#read = Atomics.load(this.#memory.head, HeadWord.Read);
  }

  get #free(): number {
    return this.#memory.size - ((this.#written - this.#read) | 0);
  }

  /** Writes the header of a packet. Returns the position of its payload, or −1 when there is no room. */
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

  /** Makes room for a record and leaves `spare` bytes free. Returns its position, or −1. */
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

  /** True when every published record is read. */
  get isEmpty(): boolean {
    return Atomics.load(this.#memory.head, HeadWord.Written) === this.#read;
  }

  /**
   * Delivers the published records, up to `mostBytes` and the record that reaches it. Returns the bytes read, headers
   * included. When `reader` throws, the record counts as read.
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

  /** Returns true when the writer waits for space and the caller must wake it. */
  takeWaiting(): boolean {
    const { head } = this.#memory;
    return Atomics.load(head, HeadWord.Waits) === 1 && Atomics.exchange(head, HeadWord.Waits, 0) === 1;
  }

  /** Asks the writer to wake this side. Returns false when a record is already waiting; then this side stays awake. */
  sleep(): boolean {
    const { head } = this.#memory;
    Atomics.store(head, HeadWord.Asleep, 1);
    if (this.isEmpty) return true;
    Atomics.store(head, HeadWord.Asleep, 0);
    return false;
  }

  /** Tells the writer that this side reads again without being woken. */
  awake(): void {
    Atomics.store(this.#memory.head, HeadWord.Asleep, 0);
  }
}

function recordBytes(payloadBytes: number): number {
  return (RECORD_HEADER_BYTES + payloadBytes + 7) & ~7;
}
