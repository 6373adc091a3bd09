import type { Arena } from './arena.ts';
import { AF_INET, IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, SOL_UDP, UDP_SEGMENT } from './linux.ts';
import {
  CONTROL_AT,
  CONTROL_HEADER_BYTES,
  CONTROL_LENGTH_AT,
  controlSpace,
  LENGTH_AT,
  MESSAGE_BYTES,
  NAME_AT,
  NAME_LENGTH_AT,
  VECTOR_BYTES,
  VECTOR_COUNT_AT,
  VECTOR_LENGTH_AT,
  VECTORS_AT,
} from './message-layout.ts';
import type { Pointer, SystemCalls } from './port.ts';
import { SOCKADDR_BYTES } from './sockaddr.ts';

const INET_ADDRESS_BYTES = 16;
const NAME_BYTES = 32;
const INET_PKTINFO_BYTES = 12;
const INET6_PKTINFO_BYTES = 20;
const SEGMENT_BYTES = 2;
const CONTROL_BYTES = controlSpace(INET6_PKTINFO_BYTES) + controlSpace(SEGMENT_BYTES);
/** Usual number of pieces of a message: one, and a tail in another part of the memory. */
const USUAL_PIECES = 2;

/** Memory for one `sendmmsg`: up to `slots` messages, each with its destination, source address and segment size. */
export class SendBatch {
  readonly slots: number;
  /** Messages that wait for `send`. */
  count = 0;
  readonly #calls: SystemCalls;
  readonly #arena: Arena;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #messages: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #vectors: number;
  readonly #pieces: number;
  /** The address of each message, for a send that continues in the middle of the batch. */
  readonly #pointers: readonly Pointer[];

  /** Each message may lie in up to `pieces` parts of the memory. */
  constructor(calls: SystemCalls, arena: Arena, slots: number, pieces: number = USUAL_PIECES) {
    this.#calls = calls;
    this.#pieces = pieces;
    this.#arena = arena;
    this.#words = arena.words;
    this.slots = slots;
    this.#messages = arena.reserve(slots * MESSAGE_BYTES);
    this.#names = arena.reserve(slots * NAME_BYTES);
    this.#controls = arena.reserve(slots * CONTROL_BYTES);
    this.#vectors = arena.reserve(slots * pieces * VECTOR_BYTES);
    for (let i = 0; i < slots; i++) {
      const message = this.#messages + i * MESSAGE_BYTES;
      arena.storeAddress(message + NAME_AT, this.#names + i * NAME_BYTES);
      arena.storeAddress(message + VECTORS_AT, this.#vectors + i * pieces * VECTOR_BYTES);
      arena.storeAddress(message + CONTROL_AT, this.#controls + i * CONTROL_BYTES);
    }
    this.#pointers = Array.from({ length: slots }, (_, i) => arena.pointer(this.#messages + i * MESSAGE_BYTES));
  }

  /** Bytes of the arena that a batch takes at most. */
  static arenaBytes(slots: number, pieces: number = USUAL_PIECES): number {
    return slots * (MESSAGE_BYTES + NAME_BYTES + CONTROL_BYTES + pieces * VECTOR_BYTES) + 256;
  }

  /**
   * Adds a message: `length` bytes at `dataOffset` of the arena, to the `sockaddr` in `addresses` from word
   * `at` on. The batch has room for it.
   */
  add(dataOffset: number, length: number, addresses: Int32Array, at: number): void {
    const words = this.#words;
    const slot = this.count++;
    const message = (this.#messages + slot * MESSAGE_BYTES) >> 2;
    const name = (this.#names + slot * NAME_BYTES) >> 2;
    const vector = this.#vectors + slot * this.#pieces * VECTOR_BYTES;
    const isInet = (addresses[at]! & 0xffff) === AF_INET;
    words[name] = addresses[at]!;
    words[name + 1] = addresses[at + 1]!;
    if (isInet) {
      words[name + 2] = 0;
      words[name + 3] = 0;
    } else {
      for (let word = 2; word < 7; word++) words[name + word] = addresses[at + word]!;
    }
    words[message + (NAME_LENGTH_AT >> 2)] = isInet ? INET_ADDRESS_BYTES : SOCKADDR_BYTES;
    words[message + (VECTOR_COUNT_AT >> 2)] = 1;
    words[message + (CONTROL_LENGTH_AT >> 2)] = 0;
    this.#arena.storeAddress(vector, dataOffset);
    words[(vector + VECTOR_LENGTH_AT) >> 2] = length;
  }

  /** Appends `length` bytes at `dataOffset` to message `slot`, by default the one added last, which has room for a piece. */
  append(dataOffset: number, length: number, slot: number = this.count - 1): void {
    const pieces = (this.#messages + slot * MESSAGE_BYTES + VECTOR_COUNT_AT) >> 2;
    const vector = this.#vectors + (slot * this.#pieces + this.#words[pieces]!) * VECTOR_BYTES;
    this.#arena.storeAddress(vector, dataOffset);
    this.#words[(vector + VECTOR_LENGTH_AT) >> 2] = length;
    this.#words[pieces]! += 1;
  }

  /**
   * Sets the local address of the message that was added last: one word of IPv4, or four of IPv6, in `locals` from word
   * `at` on. `interfaceIndex` is 0 except for link-local addresses, which need it.
   */
  setSource(locals: Int32Array, at: number, interfaceIndex: number): void {
    const words = this.#words;
    const slot = this.count - 1;
    const isInet = (words[(this.#names + slot * NAME_BYTES) >> 2]! & 0xffff) === AF_INET;
    const control = this.#appendControl(
      slot,
      isInet ? IPPROTO_IP : IPPROTO_IPV6,
      isInet ? IP_PKTINFO : IPV6_PKTINFO,
      isInet ? INET_PKTINFO_BYTES : INET6_PKTINFO_BYTES,
    );
    if (isInet) {
      words[control] = interfaceIndex;
      words[control + 1] = locals[at]!;
      words[control + 2] = 0;
    } else {
      for (let word = 0; word < 4; word++) words[control + word] = locals[at + word]!;
      words[control + 4] = interfaceIndex;
    }
  }

  /**
   * Makes the kernel cut a message into datagrams of `segmentBytes`, the last of which may be shorter. Once for each
   * message.
   */
  setSegment(segmentBytes: number, slot: number = this.count - 1): void {
    const control = this.#appendControl(slot, SOL_UDP, UDP_SEGMENT, SEGMENT_BYTES);
    this.#words[control] = segmentBytes;
  }

  /** Sends messages `from` to the last one; returns how many left, or −1 with errno when message `from` did not. */
  send(fd: number, from: number, flags: number): number {
    return this.#calls.sendmmsg(fd, this.#pointers[from]!, this.count - from, flags);
  }

  /** Returns how many bytes of message `i` were sent. */
  sentBytes(i: number): number {
    return this.#words[(this.#messages + i * MESSAGE_BYTES + LENGTH_AT) >> 2]!;
  }

  /** Returns the word where the data of a new control message goes. */
  #appendControl(slot: number, level: number, type: number, dataBytes: number): number {
    const words = this.#words;
    const length = (this.#messages + slot * MESSAGE_BYTES + CONTROL_LENGTH_AT) >> 2;
    const control = (this.#controls + slot * CONTROL_BYTES + words[length]!) >> 2;
    words[control] = CONTROL_HEADER_BYTES + dataBytes;
    words[control + 1] = 0;
    words[control + 2] = level;
    words[control + 3] = type;
    words[length]! += controlSpace(dataBytes);
    return control + (CONTROL_HEADER_BYTES >> 2);
  }
}
