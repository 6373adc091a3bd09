/**
 * The UDP plane: STUN and the peer relay. `door.ts` opens it, in a thread of its own or as plain datagrams, `rules.ts`
 * decides about each datagram, and `endpoints.ts` is the table of bindings that it uses.
 *
 * This file is the port between the rules of the peer relay and the thread that receives and sends its datagrams. The
 * thread owns sockets and memory and knows no protocol but STUN; the rules own all endpoints and know no socket. Both
 * run in one thread, so that a binding holds for the very next datagram (peer relay reference §5.5).
 */
import type { DoorCounts } from './door-counts.ts';

/** The decision about the datagrams of one {@link DatagramRules.receive} call. */
export const Verdict = {
  /** Nothing; counted by reason in the rules. */
  Drop: 0,
  /** `reply[0, replyLength)` goes back where the datagram came from, from the address that it was sent to. */
  Reply: 1,
  /** The bytes go as they are to the side `destination`. */
  Forward: 2,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Linux's number of an address family, in the low half of word 0 of an address. Other systems' are translated. */
export const AF_INET = 2;
export const AF_INET6 = 10;

/**
 * A remote address is 7 words, Linux's `sockaddr_in` or `sockaddr_in6` as it lies in the memory of a little-endian
 * machine: family and port (in network order), IPv4 address or flow information (0), IPv6 address in 4 words, scope.
 * Never an IPv4-mapped IPv6 address: a socket of both families changes them.
 */
export const ADDRESS_WORDS = 7;

/**
 * A side of an endpoint has 16 words in {@link DatagramRules.sides}: the remote address in words 0–6, then the words
 * named here. All are 0 while the side is not bound.
 */
export const SIDE_WORDS = 16;
export const SideWord = {
  /** Family in the low half, port in network order in the high half. */
  FamilyAndPort: 0,
  Ipv4: 1,
  Ipv6: 2,
  Scope: 6,
  /** The thread's own number of the socket that this side is reached through; kept by a socket that is opened again. */
  Socket: 7,
  /** The local address that this side sends to, 4 words; IPv4 has it in the first. */
  LocalIp: 8,
  /** The interface of the local address, or 0: by route. */
  LocalInterface: 12,
  /** The local port, as a number. */
  LocalPort: 13,
  /** For the thread's use, such as "too long for segments". Set to 0 by the rules whenever the side binds. */
  Own: 14,
} as const;

/** The datagrams of one call. The object is reused for each call. */
export interface Arrival {
  /** The memory that they were received into. */
  readonly bytes: Uint8Array;
  /** They are `bytes[from, to)`, `segment` bytes each but the last, which may be shorter; `segment` 0: just one. */
  readonly from: number;
  readonly to: number;
  readonly segment: number;
  /** They came from the address at `words[source]`. */
  readonly words: Int32Array;
  readonly source: number;
  /** Milliseconds of a monotonic clock, read once for a batch. */
  readonly now: number;
  /** Writes {@link SideWord.Socket} up to {@link SideWord.LocalPort} of the side at `side`: where they were sent to. */
  writeLocal(sides: Int32Array, side: number): void;
}

/** What the rules need of the thread outside the data path. */
export interface DatagramPlaces {
  /**
   * Fills {@link SideWord.Socket} of a side that was bound in an earlier process, by its family, local address and port.
   * False when no socket of this process serves them.
   */
  locate(sides: Int32Array, side: number): boolean;
}

/** The rules, as the thread sees them. No method throws on any bytes. */
export interface DatagramRules {
  /** {@link SIDE_WORDS} words for each side. Its buffer never moves, so that the kernel may read addresses from it. */
  readonly sides: Int32Array;
  /** Valid until the next call of {@link receive}. */
  readonly reply: Uint8Array;
  readonly replyLength: number;
  /** The number of the side to forward to; its words start at `destination * SIDE_WORDS`. */
  readonly destination: number;
  /**
   * End of the bytes that the last verdict is about: as many segments as have the same destination, at least one. The
   * bytes after it need another call.
   */
  readonly end: number;
  /** Decides about the datagram at `from`, and about the ones after it with the same destination. Not for STUN. */
  receive(arrival: Arrival): Verdict;
  /** Called about once a second: endpoints end, secrets change. Milliseconds of the same clock. */
  tick(now: number): void;
  /** Handles a message of the main thread and returns the answer or null. Both are plain data. */
  command(message: unknown, now: number): unknown;
}

/** Makes the rules. `memory` has room for `2 * endpoints * SIDE_WORDS` words and is zero. */
export type MakeDatagramRules<Settings> = (
  settings: Settings,
  memory: Int32Array,
  places: DatagramPlaces,
  now: number,
  counts: DoorCounts,
) => DatagramRules;
