import type { Arena } from '../../system/arena.ts';
import { Errno, MSG_DONTWAIT } from '../../system/linux.ts';
import type { SystemCalls } from '../../system/port.ts';
import { SendBatch } from '../../system/send-batch.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';
import { EQUAL_ROW_TAIL, MAX_SEGMENTED_BYTES, MAX_SEGMENTS, MIN_EQUAL_ROW, type Offload } from './offload.ts';
import { SideWord } from './port.ts';

/** Messages that wait for one system call, at most. */
const SLOTS = 64;
/** Pieces of memory that one message may consist of. */
const PIECES = 64;
/** Number of last messages that are searched for one to the same side. */
const LOOK_BACK = 12;
/** No side: the message is a reply. */
const NO_SIDE = -1;
/** A path that refused segments is tried again after this, in seconds: routes change. */
const TRY_SEGMENTS_AGAIN_SECONDS = 600;
/** Words of {@link SideWord.Own}: the smallest segment that was too long for the path, and since when, in seconds. */
const TOO_LONG = SideWord.Own;
const TOO_LONG_SINCE = SideWord.Own + 1;

/** The socket that sends the messages. */
export interface SendSocket {
  readonly fd: number;
  readonly hasGso: boolean;
}

/**
 * The messages that wait to be sent by one socket. When the kernel refuses a message with segments, it is sent again
 * without them; a lost message is counted; and no message blocks those after it.
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
  // The content of each message of the batch, to send it in another way.
  readonly #offsets: Int32Array = new Int32Array(SLOTS * PIECES);
  readonly #pieceLengths: Int32Array = new Int32Array(SLOTS * PIECES);
  readonly #pieces: Int32Array = new Int32Array(SLOTS);
  readonly #lengths: Int32Array = new Int32Array(SLOTS);
  readonly #segments: Int32Array = new Int32Array(SLOTS);
  readonly #sideOf: Int32Array = new Int32Array(SLOTS);

  constructor(calls: SystemCalls, arena: Arena, counts: DoorCounts, offload: Offload) {
    this.#calls = calls;
    this.#counts = counts;
    this.offload = offload;
    // One piece more: the tail of a row.
    this.#batch = new SendBatch(calls, arena, SLOTS, PIECES + 1);
    this.#plain = new SendBatch(calls, arena, MAX_SEGMENTS);
    this.#tail = arena.reserve(1);
    arena.bytes[this.#tail] = EQUAL_ROW_TAIL;
  }

  /** Bytes of the arena that it takes at most. */
  static readonly arenaBytes: number =
    SendBatch.arenaBytes(SLOTS, PIECES + 1) + SendBatch.arenaBytes(MAX_SEGMENTS) + 64;

  /** True while no messages wait. */
  get isEmpty(): boolean {
    return this.#batch.count === 0;
  }

  /** Sets the socket, with `fd` −1 when it was closed. Segments that an earlier socket refused are tried again. */
  use(socket: SendSocket): void {
    this.socket = socket;
    this.#segmentsRefused = false;
    this.#batch.count = 0;
  }

  /**
   * Sends `[from, to)` of the arena to the side at word `side` of `sides`; `segment` bytes each but the last, or 0: it
   * is one datagram. Datagrams for one side leave in one message, in the order of their arrival. The bytes must stay
   * until `flush`.
   */
  forward(from: number, to: number, segment: number, sides: Int32Array, side: number): void {
    this.#sides = sides;
    const unit = segment === 0 ? to - from : Math.min(segment, to - from);
    if (unit === 0 || !this.#maySegment(unit, sides, side)) {
      for (let at = from; at === from || at < to; at += unit) {
        this.#add(at, Math.min(unit, to - at), side);
        if (unit === 0) break;
      }
      return;
    }
    const row = this.#rowOf(unit);
    for (let at = from; at < to; at += row * unit) {
      const length = Math.min(row * unit, to - at);
      if (this.#join(at, length, unit, side)) continue;
      this.#add(at, length, side);
      if (length > unit) this.#cut(this.#batch.count - 1, unit);
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

  /** Sends all waiting messages. */
  flush(): void {
    const batch = this.#batch;
    const { fd } = this.socket;
    if (fd < 0) {
      this.#counts[DoorCount.socketDown]! += batch.count;
      batch.count = 0;
      return;
    }
    if (this.offload.neverEqualTail) this.#addTails();
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

  /** Adds a message without segments. */
  #add(from: number, length: number, side: number): void {
    if (this.#batch.count === SLOTS) this.flush();
    const slot = this.#batch.count;
    this.#offsets[slot * PIECES] = from;
    this.#pieceLengths[slot * PIECES] = length;
    this.#pieces[slot] = 1;
    this.#lengths[slot] = length;
    this.#segments[slot] = 0;
    this.#sideOf[slot] = side;
    const sides = this.#sides;
    this.#batch.add(from, length, sides, side);
    if (isKnown(sides, side + SideWord.LocalIp)) {
      this.#batch.setSource(sides, side + SideWord.LocalIp, sides[side + SideWord.LocalInterface]!);
    }
  }

  #cut(slot: number, segment: number): void {
    this.#batch.setSegment(segment, slot);
    this.#segments[slot] = segment;
  }

  /** Returns how many datagrams of `segment` bytes one message may hold. */
  #rowOf(segment: number): number {
    const most = Math.min(MAX_SEGMENTS, Math.floor(MAX_SEGMENTED_BYTES / segment));
    return Math.max(1, this.offload.neverEqualTail ? most - 1 : most);
  }

  /**
   * Appends `length` bytes, `unit` each but the last, to the last message for the same side. Returns false when there
   * is none among the last ones, or it is full, or has other lengths: only the last datagram of a message may be
   * shorter.
   */
  #join(from: number, length: number, unit: number, side: number): boolean {
    const oldest = Math.max(0, this.#batch.count - LOOK_BACK);
    for (let slot = this.#batch.count - 1; slot >= oldest; slot--) {
      if (this.#sideOf[slot] !== side) continue;
      const before = this.#lengths[slot]!;
      const segment = this.#segments[slot] === 0 ? before : this.#segments[slot]!;
      const pieces = this.#pieces[slot]!;
      if (segment === 0 || before % segment !== 0 || unit > segment || (unit < segment && length > unit)) return false;
      const tooLong = this.#sides[side + TOO_LONG]!;
      if (tooLong !== 0 && segment >= tooLong) return false;
      if (pieces === PIECES || before + length > this.#rowOf(segment) * segment) return false;
      if (this.#segments[slot] === 0) this.#cut(slot, segment);
      this.#batch.append(from, length, slot);
      this.#offsets[slot * PIECES + pieces] = from;
      this.#pieceLengths[slot * PIECES + pieces] = length;
      this.#pieces[slot] = pieces + 1;
      this.#lengths[slot] = before + length;
      return true;
    }
    return false;
  }

  /** Adds one byte after each long row of equal datagrams. */
  #addTails(): void {
    for (let slot = 0; slot < this.#batch.count; slot++) {
      const [segment, length] = [this.#segments[slot]!, this.#lengths[slot]!];
      if (segment === 0 || length % segment !== 0 || length < segment * MIN_EQUAL_ROW) continue;
      this.#batch.append(this.#tail, 1, slot);
    }
  }

  #maySegment(segment: number, sides: Int32Array, side: number): boolean {
    if (!this.offload.gso || !this.socket.hasGso || this.#segmentsRefused) return false;
    const tooLong = sides[side + TOO_LONG]!;
    if (tooLong === 0 || segment < tooLong) return true;
    if (this.now / 1000 - sides[side + TOO_LONG_SINCE]! < TRY_SEGMENTS_AGAIN_SECONDS) return false;
    sides[side + TOO_LONG] = 0;
    return true;
  }

  /** Handles message `i`, which was not sent. Returns how many messages are finished: this one, or all that wait. */
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

  /** Counts a message that is lost; with a full send buffer, all that wait. Returns how many are finished. */
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

  /** Clears the local address of a side, which this machine no longer has. The kernel then chooses one. */
  #forgetSource(side: number): void {
    const local = side + SideWord.LocalIp;
    this.#sides.fill(0, local, local + 4);
    // The segments were not the reason of the error.
    this.#sides[side + TOO_LONG] = 0;
    this.#counts[DoorCount.sourceGone]! += 1;
  }

  /** Sends message `i` again, each datagram separately. Returns 1, because the message is finished. */
  #apart(i: number, withSource: boolean): 1 {
    const plain = this.#plain;
    const [length, side] = [this.#lengths[i]!, this.#sideOf[i]!];
    const segment = this.#segments[i] === 0 ? length : this.#segments[i]!;
    let skipped = 0;
    this.#fillPlain(i, skipped, segment, withSource);
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
        skipped += k;
        this.#fillPlain(i, skipped, segment, false);
        k = 0;
      } else {
        k += this.#lost(errno, plain.count - k);
      }
    }
    return 1;
  }

  /** Adds message `i` without its first `skipped` datagrams to the batch of single datagrams. */
  #fillPlain(i: number, skipped: number, segment: number, withSource: boolean): void {
    const plain = this.#plain;
    const side = this.#sideOf[i]!;
    const sides = this.#sides;
    const local = side + SideWord.LocalIp;
    const hasSource = withSource && isKnown(sides, local);
    plain.count = 0;
    let index = 0;
    for (let piece = i * PIECES; piece < i * PIECES + this.#pieces[i]!; piece++) {
      const [from, length] = [this.#offsets[piece]!, this.#pieceLengths[piece]!];
      for (let at = 0; at === 0 || at < length; at += segment) {
        if (index++ < skipped) continue;
        plain.add(from + at, Math.min(segment, length - at), sides, side);
        if (hasSource) plain.setSource(sides, local, sides[side + SideWord.LocalInterface]!);
        if (segment === 0) break;
      }
    }
  }
}

/** Returns whether the reason may be that the source address is not an address of this machine. */
function mayBeSource(errno: number): boolean {
  return errno === Errno.EINVAL || errno === Errno.EADDRNOTAVAIL || errno === Errno.ENETUNREACH;
}

/** Returns whether the four words at `at` have an address. */
function isKnown(words: Int32Array, at: number): boolean {
  return words[at] !== 0 || words[at + 1] !== 0 || words[at + 2] !== 0 || words[at + 3] !== 0;
}
