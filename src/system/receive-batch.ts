import type { Arena } from './arena.ts';
import {
  AF_INET,
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_PKTINFO,
  MSG_CTRUNC,
  MSG_TRUNC,
  SO_RXQ_OVFL,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
} from './linux.ts';
import {
  CONTROL_AT,
  CONTROL_HEADER_BYTES,
  CONTROL_LENGTH_AT,
  controlSpace,
  FLAGS_AT,
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

/** The local address (IPv6), the segment size and the count of overflows. */
const CONTROL_BYTES = controlSpace(20) + controlSpace(4) + controlSpace(4);
const NAME_BYTES = 32;
/** With UDP_GRO the kernel truncates datagrams without an error: a slot holds the largest possible one. */
export const GRO_SLOT_BYTES = 65_535;

/**
 * Memory for one `recvmmsg`: `slots` datagrams of up to `slotBytes`, each with its source address and the kernel's
 * control data. The content is valid until the next `receive`.
 */
export class ReceiveBatch {
  readonly slots: number;
  readonly slotBytes: number;
  /** Datagrams that the kernel dropped because its buffer was full, since the socket was opened; 32 bits, they wrap. */
  overflows = 0;
  /** Set by `read`: bytes of one segment, where the kernel has put several datagrams of one sender together; else 0. */
  segmentBytes = 0;
  /** Set by `read`: the local address the datagram was sent to: one word of IPv4, or four of IPv6; zeros if unknown. */
  readonly local: Int32Array<ArrayBuffer> = new Int32Array(4);
  /** Set by `read`: the interface it came in on, 0 if unknown. */
  interfaceIndex = 0;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #calls: SystemCalls;
  readonly #messages: number;
  readonly #names: number;
  readonly #data: number;
  readonly #dataStep: number;
  readonly #controls: number;
  readonly #pointer: Pointer;
  readonly #controlBytes: number;
  #used = 0;

  /** `controlBytes` is smaller than usual only in tests of truncated control data. */
  constructor(
    calls: SystemCalls,
    arena: Arena,
    slots: number,
    slotBytes: number,
    controlBytes: number = CONTROL_BYTES,
  ) {
    this.#calls = calls;
    this.#words = arena.words;
    this.slots = slots;
    this.slotBytes = slotBytes;
    this.#controlBytes = controlBytes;
    this.#dataStep = Math.ceil(slotBytes / 64) * 64;
    this.#messages = arena.reserve(slots * MESSAGE_BYTES);
    this.#names = arena.reserve(slots * NAME_BYTES);
    this.#controls = arena.reserve(slots * CONTROL_BYTES);
    const vectors = arena.reserve(slots * VECTOR_BYTES);
    this.#data = arena.reserve(slots * this.#dataStep, 64);
    for (let i = 0; i < slots; i++) {
      const message = this.#messages + i * MESSAGE_BYTES;
      const vector = vectors + i * VECTOR_BYTES;
      arena.storeAddress(vector, this.dataOffset(i));
      this.#words[(vector + VECTOR_LENGTH_AT) >> 2] = slotBytes;
      arena.storeAddress(message + NAME_AT, this.nameOffset(i));
      arena.storeAddress(message + VECTORS_AT, vector);
      this.#words[(message + VECTOR_COUNT_AT) >> 2] = 1;
      arena.storeAddress(message + CONTROL_AT, this.#controls + i * CONTROL_BYTES);
    }
    this.#pointer = arena.pointer(this.#messages);
    this.#used = slots;
  }

  /** Bytes of the arena that a batch takes at most. */
  static arenaBytes(slots: number, slotBytes: number): number {
    return slots * (MESSAGE_BYTES + NAME_BYTES + CONTROL_BYTES + VECTOR_BYTES + slotBytes + 64) + 256;
  }

  /** Receives the messages that wait at the socket, at most `slots`. Returns how many, or −1 with errno. */
  receive(fd: number, flags: number, slots: number = this.slots): number {
    const words = this.#words;
    for (let i = 0; i < this.#used; i++) {
      const message = (this.#messages + i * MESSAGE_BYTES) >> 2;
      words[message + (NAME_LENGTH_AT >> 2)] = SOCKADDR_BYTES;
      words[message + (CONTROL_LENGTH_AT >> 2)] = this.#controlBytes;
    }
    const received = this.#calls.recvmmsg(fd, this.#pointer, slots, flags, null);
    this.#used = received < 0 ? 0 : received;
    return received;
  }

  /** Returns where the bytes of slot `i` begin in the arena. */
  dataOffset(i: number): number {
    return this.#data + i * this.#dataStep;
  }

  /** Returns where the `sockaddr` of the sender is in the arena. */
  nameOffset(i: number): number {
    return this.#names + i * NAME_BYTES;
  }

  /** Returns how many bytes slot `i` received. */
  length(i: number): number {
    return this.#words[(this.#messages + i * MESSAGE_BYTES + LENGTH_AT) >> 2]!;
  }

  /**
   * Reads the kernel's control data of slot `i` into the fields of this object. Returns false when the datagram or its
   * control data did not fit, so that it cannot be trusted.
   */
  read(i: number): boolean {
    const words = this.#words;
    const message = (this.#messages + i * MESSAGE_BYTES) >> 2;
    this.segmentBytes = 0;
    this.interfaceIndex = 0;
    this.local[0] = 0;
    this.local[1] = 0;
    this.local[2] = 0;
    this.local[3] = 0;
    if ((words[message + (FLAGS_AT >> 2)]! & (MSG_TRUNC | MSG_CTRUNC)) !== 0) return false;
    let at = (this.#controls + i * CONTROL_BYTES) >> 2;
    const end = at + (words[message + (CONTROL_LENGTH_AT >> 2)]! >> 2);
    while (at + (CONTROL_HEADER_BYTES >> 2) <= end) {
      const bytes = words[at]!;
      if (bytes < CONTROL_HEADER_BYTES) break;
      this.#readControl(words, at);
      at += ((bytes + 7) & ~7) >> 2;
    }
    return true;
  }

  #readControl(words: Int32Array, at: number): void {
    const level = words[at + 2]!;
    const type = words[at + 3]!;
    if (level === SOL_UDP && type === UDP_GRO) {
      this.segmentBytes = words[at + 4]!;
    } else if (level === IPPROTO_IP && type === IP_PKTINFO) {
      this.interfaceIndex = words[at + 4]!;
      // ipi_spec_dst, an address of this machine; ipi_addr behind it may be that of a broadcast.
      this.local[0] = words[at + 5]!;
    } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) {
      for (let word = 0; word < 4; word++) this.local[word] = words[at + 4 + word]!;
      this.interfaceIndex = words[at + 8]!;
    } else if (level === SOL_SOCKET && type === SO_RXQ_OVFL) {
      this.overflows = words[at + 4]! >>> 0;
    }
  }

  /** Returns whether slot `i` came from an IPv4 address. */
  isInet(i: number): boolean {
    return (this.#words[this.nameOffset(i) >> 2]! & 0xffff) === AF_INET;
  }
}
