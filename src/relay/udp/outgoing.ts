import type { Arena } from '../../system/arena.ts';
import { Errno, MSG_DONTWAIT } from '../../system/linux.ts';
import type { SystemCalls } from '../../system/port.ts';
import { SendBatch } from '../../system/send-batch.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';
import { EQUAL_ROW_TAIL, MAX_SEGMENTED_BYTES, MAX_SEGMENTS, MIN_EQUAL_ROW, type Offload } from './offload.ts';
import { SideWord } from './port.ts';

/** Messages that wait for one system call, at most. */
const SLOTS = 64;
/** No side: the message is a reply. */
const NO_SIDE = -1;
/** A path that refused segments is tried again after this, in seconds: routes change. */
const TRY_SEGMENTS_AGAIN_SECONDS = 600;
/** Words of {@link SideWord.Own}: the smallest segment that was too long for the path, and since when, in seconds. */
const TOO_LONG = SideWord.Own;
const TOO_LONG_SINCE = SideWord.Own + 1;

/** Where messages leave. */
export interface SendSocket {
  readonly fd: number;
  readonly hasGso: boolean;
}

/**
 * The messages that wait to leave by one socket, and what becomes of each when the kernel does not take it: a message in
 * segments is sent again without, a lost one is counted, and none holds up those behind it.
 */
export class Outgoing {
  /** The socket in use; −1 while it is being opened again. */
  socket: SendSocket = { fd: -1, hasGso: false };
  /** Set for all sockets by the thread. */
  offload: Offload;
  /** Coarse time in milliseconds, for what is remembered of a path. */
  now = 0;
  readonly #calls: SystemCalls;
  readonly #counts: DoorCounts;
  readonly #batch: SendBatch;
  readonly #plain: SendBatch;
  readonly #tail: number;
  #segmentsRefused = false;
  #sides: Int32Array = new Int32Array(0);
  // What each message of the batch is, to send it in another way.
  readonly #offsets: Int32Array = new Int32Array(SLOTS);
  readonly #lengths: Int32Array = new Int32Array(SLOTS);
  readonly #segments: Int32Array = new Int32Array(SLOTS);
  readonly #sideOf: Int32Array = new Int32Array(SLOTS);

  constructor(calls: SystemCalls, arena: Arena, counts: DoorCounts, offload: Offload) {
    this.#calls = calls;
    this.#counts = counts;
    this.offload = offload;
    this.#batch = new SendBatch(calls, arena, SLOTS);
    this.#plain = new SendBatch(calls, arena, MAX_SEGMENTS);
    this.#tail = arena.reserve(1);
    arena.bytes[this.#tail] = EQUAL_ROW_TAIL;
  }

  /** Bytes of the arena that it takes at most. */
  static readonly arenaBytes: number = SendBatch.arenaBytes(SLOTS) + SendBatch.arenaBytes(MAX_SEGMENTS) + 64;

  /** Whether messages wait. */
  get isEmpty(): boolean {
    return this.#batch.count === 0;
  }

  /** A socket was opened, or closed with `fd` −1. What an earlier one refused is tried again. */
  use(socket: SendSocket): void {
    this.socket = socket;
    this.#segmentsRefused = false;
    this.#batch.count = 0;
  }

  /**
   * Sends `[from, to)` of the arena to the side at word `side` of `sides`; `segment` bytes each but the last, or 0: it is
   * one datagram. The bytes must stay until `flush`.
   */
  forward(from: number, to: number, segment: number, sides: Int32Array, side: number): void {
    this.#sides = sides;
    if (segment === 0 || to - from <= segment) {
      this.#add(from, to - from, 0, side);
      return;
    }
    if (!this.#maySegment(segment, sides, side)) {
      for (let at = from; at < to; at += segment) this.#add(at, Math.min(segment, to - at), 0, side);
      return;
    }
    const row =
      Math.min(MAX_SEGMENTS, Math.floor(MAX_SEGMENTED_BYTES / segment)) - (this.offload.neverEqualTail ? 1 : 0);
    for (let at = from; at < to; at += row * segment) {
      const length = Math.min(row * segment, to - at);
      this.#add(at, length, length > segment ? segment : 0, side);
    }
  }

  /**
   * Sends `[from, to)` of the arena to the address at word `at` of `words`, from the local address at the start of
   * `local`, if known. The bytes must stay until `flush`.
   */
  reply(from: number, to: number, words: Int32Array, at: number, local: Int32Array, interfaceIndex: number): void {
    if (this.#batch.count === SLOTS) this.flush();
    const slot = this.#batch.count;
    this.#batch.add(from, to - from, words, at);
    if (isKnown(local, 0)) this.#batch.setSource(local, 0, interfaceIndex);
    this.#segments[slot] = 0;
    this.#sideOf[slot] = NO_SIDE;
  }

  /** Sends all that waits. */
  flush(): void {
    const batch = this.#batch;
    const { fd } = this.socket;
    if (fd < 0) {
      this.#counts[DoorCount.socketDown]! += batch.count;
      batch.count = 0;
      return;
    }
    let i = 0;
    while (i < batch.count) {
      const sent = batch.send(fd, i, MSG_DONTWAIT);
      if (sent > 0) {
        this.#counts[DoorCount.sentBatches]! += sent;
        for (const end = i + sent; i < end; i++) this.#counts[DoorCount.sentBytes]! += batch.sentBytes(i);
        continue;
      }
      const errno = this.#calls.errno();
      if (errno !== Errno.EINTR) i += this.#failed(i, errno);
    }
    batch.count = 0;
  }

  #add(from: number, length: number, segment: number, side: number): void {
    if (this.#batch.count === SLOTS) this.flush();
    const slot = this.#batch.count;
    this.#offsets[slot] = from;
    this.#lengths[slot] = length;
    this.#segments[slot] = segment;
    this.#sideOf[slot] = side;
    const sides = this.#sides;
    this.#batch.add(from, length, sides, side);
    if (isKnown(sides, side + SideWord.LocalIp)) {
      this.#batch.setSource(sides, side + SideWord.LocalIp, sides[side + SideWord.LocalInterface]!);
    }
    if (segment === 0) return;
    this.#batch.setSegment(segment);
    const isEqualRow = length >= segment * MIN_EQUAL_ROW && length % segment === 0;
    if (this.offload.neverEqualTail && isEqualRow) this.#batch.addTail(this.#tail, 1);
  }

  #maySegment(segment: number, sides: Int32Array, side: number): boolean {
    if (!this.offload.gso || !this.socket.hasGso || this.#segmentsRefused) return false;
    const tooLong = sides[side + TOO_LONG]!;
    if (tooLong === 0 || segment < tooLong) return true;
    if (this.now / 1000 - sides[side + TOO_LONG_SINCE]! < TRY_SEGMENTS_AGAIN_SECONDS) return false;
    sides[side + TOO_LONG] = 0;
    return true;
  }

  /** Message `i` did not leave. Returns how many messages are done with: it, or all that wait. */
  #failed(i: number, errno: number): number {
    const counts = this.#counts;
    const segment = this.#segments[i]!;
    const side = this.#sideOf[i]!;
    if (segment > 0) {
      if (errno === Errno.EIO) {
        this.#segmentsRefused = true;
        counts[DoorCount.segmentsRefused]! += 1;
        return this.#apart(i, true);
      }
      // Old kernels say EINVAL.
      if (errno === Errno.EMSGSIZE || errno === Errno.EINVAL) {
        this.#sides[side + TOO_LONG] = segment;
        this.#sides[side + TOO_LONG_SINCE] = Math.floor(this.now / 1000);
        counts[DoorCount.segmentsTooLong]! += 1;
        return this.#apart(i, true);
      }
    }
    if (mayBeSource(errno) && this.#hasSource(side)) return this.#apart(i, false);
    return this.#lost(errno, this.#batch.count - i);
  }

  /** Counts a message that is lost; with a full send buffer, all that wait. Returns how many are done with. */
  #lost(errno: number, waiting: number): number {
    const counts = this.#counts;
    switch (errno) {
      case Errno.EAGAIN:
      case Errno.ENOBUFS:
        counts[DoorCount.sendBlocked]! += waiting;
        return waiting;
      // The firewall of this machine: a lost packet, not a broken socket.
      case Errno.EPERM:
      case Errno.EACCES:
        counts[DoorCount.sendRefused]! += 1;
        break;
      case Errno.ENETUNREACH:
      case Errno.EHOSTUNREACH:
      case Errno.ENETDOWN:
      case Errno.ECONNREFUSED:
        counts[DoorCount.sendUnreachable]! += 1;
        break;
      case Errno.EMSGSIZE:
        counts[DoorCount.sendTooLong]! += 1;
        break;
      default:
        counts[DoorCount.sendFailed]! += 1;
    }
    return 1;
  }

  #hasSource(side: number): boolean {
    return side !== NO_SIDE && isKnown(this.#sides, side + SideWord.LocalIp);
  }

  /** The local address that a side sends to is gone from this machine: from now on the kernel chooses one. */
  #forgetSource(side: number): void {
    const local = side + SideWord.LocalIp;
    this.#sides.fill(0, local, local + 4);
    // It was not the segments that the kernel did not like.
    this.#sides[side + TOO_LONG] = 0;
    this.#counts[DoorCount.sourceGone]! += 1;
  }

  /** Sends message `i` once more, each datagram for itself. Returns 1: it is done with. */
  #apart(i: number, withSource: boolean): 1 {
    const plain = this.#plain;
    const [length, side] = [this.#lengths[i]!, this.#sideOf[i]!];
    const segment = this.#segments[i] === 0 ? length : this.#segments[i]!;
    this.#fillPlain(i, 0, segment, withSource);
    for (let k = 0; k < plain.count;) {
      const sent = plain.send(this.socket.fd, k, MSG_DONTWAIT);
      if (sent > 0) {
        if (!withSource && this.#hasSource(side)) this.#forgetSource(side);
        this.#counts[DoorCount.sentBatches]! += sent;
        for (const end = k + sent; k < end; k++) this.#counts[DoorCount.sentBytes]! += plain.sentBytes(k);
        continue;
      }
      const errno = this.#calls.errno();
      if (errno === Errno.EINTR) continue;
      if (withSource && mayBeSource(errno) && this.#hasSource(side)) {
        withSource = false;
        this.#fillPlain(i, k * segment, segment, false);
        k = 0;
      } else {
        k += this.#lost(errno, plain.count - k);
      }
    }
    return 1;
  }

  /** Puts message `i` from byte `start` on into the batch of single datagrams. */
  #fillPlain(i: number, start: number, segment: number, withSource: boolean): void {
    const plain = this.#plain;
    const [from, length, side] = [this.#offsets[i]!, this.#lengths[i]!, this.#sideOf[i]!];
    const sides = this.#sides;
    const local = side + SideWord.LocalIp;
    const hasSource = withSource && isKnown(sides, local);
    plain.count = 0;
    for (let at = start; at < length; at += segment) {
      plain.add(from + at, Math.min(segment, length - at), sides, side);
      if (hasSource) plain.setSource(sides, local, sides[side + SideWord.LocalInterface]!);
    }
  }
}

/** Whether the reason may be that the source address is not one of this machine. */
function mayBeSource(errno: number): boolean {
  return errno === Errno.EINVAL || errno === Errno.EADDRNOTAVAIL || errno === Errno.ENETUNREACH;
}

/** Whether an address of four words is given. */
function isKnown(words: Int32Array, at: number): boolean {
  return words[at] !== 0 || words[at + 1] !== 0 || words[at + 2] !== 0 || words[at + 3] !== 0;
}
