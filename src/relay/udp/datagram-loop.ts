import type { Arena } from '../../system/arena.ts';
import { Errno, MSG_DONTWAIT, SystemCallError } from '../../system/linux.ts';
import { PollSet } from '../../system/poll-set.ts';
import type { SystemCalls } from '../../system/port.ts';
import { GRO_SLOT_BYTES, ReceiveBatch } from '../../system/receive-batch.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';
import { DoorSockets, MAX_DOOR_SOCKETS, type DoorSocket } from './door-sockets.ts';
import { unmapAddresses } from './side-address.ts';
import { PAUSE_MICROSECONDS, PauseRule } from './pause-rule.ts';
import { SIDE_WORDS, SideWord, Verdict, type Arrival, type DatagramRules } from './port.ts';
import { SOCKADDR_BYTES, writeSockaddr } from '../../system/sockaddr.ts';
import { encodeBindingRequest } from '../../wire/stun.ts';
import { StunQueries, type StunQuery, type StunSighting } from './stun-queries.ts';
import { looksLikeStun, type StunAnswers } from './stun-answers.ts';

/** Messages that one system call receives at most. */
const RECEIVE_SLOTS = 32;
/** The same while messages are long: more of them would leave the cache of the processor before they are sent on. */
const LONG_RECEIVE_SLOTS = 8;
/** From this mean length on, in bytes, the messages of a batch are long. */
const LONG_MESSAGE_BYTES = 8192;
/** Most system calls on one socket before the other sockets and the wake descriptor are checked. */
const RECEIVES_IN_TURN = 32;
/** Replies that wait in memory, at most, and the room for each: a challenge has 160 bytes, an answer of STUN 44. */
const REPLIES = 64;
const REPLY_BYTES = 256;
const TICK_MS = 1000;

export interface DatagramLoopParts {
  readonly calls: SystemCalls;
  readonly arena: Arena;
  readonly sockets: DoorSockets;
  readonly rules: DatagramRules;
  readonly stun: StunAnswers;
  /** Called with each answer to one of our queries. */
  readonly sighted: (sighting: StunSighting) => void;
  readonly counts: DoorCounts;
  /** The descriptor that wakes the thread. */
  readonly wakeFd: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/**
 * The loop of the UDP thread: waits for datagrams, receives all that have arrived, asks the rules for a verdict on each,
 * and sends accordingly. It allocates nothing per datagram. It is also the {@link Arrival} that the rules read.
 */
export class DatagramLoop implements Arrival {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  from = 0;
  to = 0;
  segment = 0;
  source = 0;
  now: number;
  readonly #parts: DatagramLoopParts;
  readonly #receive: ReceiveBatch;
  readonly #poll: PollSet;
  readonly #replyAt: number;
  readonly #queries = new StunQueries();
  /** The word of the arena at which the address of a STUN server is written; the kernel chooses the local one. */
  readonly #serverAt: number;
  readonly #anyLocal = new Int32Array(4);
  readonly #replies: readonly Buffer[];
  #repliesUsed = 0;
  #slots: number = RECEIVE_SLOTS;
  readonly #pauseRule = new PauseRule();
  /** Bytes that the last turn received; 0 when it left some unread. */
  #turnBytes = 0;
  #socket: DoorSocket | null = null;
  #version = -1;
  #tickedAt: number;

  constructor(parts: DatagramLoopParts) {
    this.#parts = parts;
    const { arena, calls } = parts;
    this.bytes = arena.bytes;
    this.words = arena.words;
    this.#receive = new ReceiveBatch(calls, arena, RECEIVE_SLOTS, GRO_SLOT_BYTES);
    this.#poll = new PollSet(calls, arena, MAX_DOOR_SOCKETS + 1);
    this.#poll.set(0, parts.wakeFd);
    const replyAt = arena.reserve(REPLIES * REPLY_BYTES);
    this.#replyAt = replyAt;
    this.#replies = Array.from({ length: REPLIES }, (_, i) =>
      arena.bytes.subarray(replyAt + i * REPLY_BYTES, replyAt + (i + 1) * REPLY_BYTES),
    );
    this.#serverAt = arena.reserve(SOCKADDR_BYTES) >> 2;
    this.now = parts.now();
    this.#tickedAt = this.now;
  }

  /** Bytes of the arena that the loop and its sockets take at most. */
  static readonly arenaBytes: number =
    ReceiveBatch.arenaBytes(RECEIVE_SLOTS, GRO_SLOT_BYTES) +
    PollSet.arenaBytes(MAX_DOOR_SOCKETS + 1) +
    REPLIES * REPLY_BYTES +
    DoorSockets.arenaBytes +
    4096;

  /**
   * Waits until something happens, at most `timeoutMs`, and handles it. Returns true when the thread was woken. Throws
   * a {@link SystemCallError} when it cannot wait any more.
   */
  turn(timeoutMs: number): boolean {
    const { sockets, calls } = this.#parts;
    if (this.#version !== sockets.version) this.#watch();
    const ready = this.#wait(sockets.closed > 0 ? sockets.untilDue(this.now, timeoutMs) : timeoutMs);
    this.now = this.#parts.now();
    if (ready < 0) {
      if (calls.errno() !== Errno.EINTR) throw new SystemCallError('poll', calls.errno());
      return false;
    }
    if (ready > 0) {
      const version = this.#version;
      for (const socket of sockets.all) {
        if (socket.fd >= 0 && version === sockets.version && this.#poll.found(socket.index + 1) !== 0) {
          this.#drain(socket);
        }
      }
    }
    if (this.now - this.#tickedAt >= TICK_MS) this.#tick();
    else if (sockets.closed > 0) sockets.reopenDue(this.now);
    return ready > 0 && this.#poll.found(0) !== 0;
  }

  /** Sends queries to STUN servers, each from the socket that it names. */
  query(queries: readonly StunQuery[]): void {
    const { arena, sockets } = this.#parts;
    for (const { id, place, ip, port } of queries) {
      const socket = sockets.all[place];
      const request = encodeBindingRequest(Buffer.from(id, 'hex'));
      if (socket?.takes(!ip.includes(':')) !== true) continue;
      if (writeSockaddr(arena.bytes, this.#serverAt << 2, ip, port) === 0) continue;
      this.#queries.expect(id);
      request.copy(this.#nextReply());
      const at = this.#replyAt + this.#repliesUsed++ * REPLY_BYTES;
      socket.outgoing.reply(at, at + request.length, this.words, this.#serverAt, this.#anyLocal, 0);
      // The address of the next one is written to the same place.
      this.#flush();
    }
  }

  /** Writes the address that the present datagrams were sent to, for the side that they bind (arrival). */
  writeLocal(sides: Int32Array, side: number): void {
    const { local, interfaceIndex } = this.#receive;
    for (let i = 0; i < 4; i++) sides[side + SideWord.LocalIp + i] = local[i]!;
    sides[side + SideWord.LocalInterface] = needsInterface(local) ? interfaceIndex : 0;
    sides[side + SideWord.Socket] = this.#socket!.index;
    sides[side + SideWord.LocalPort] = this.#socket!.place.port;
  }

  /** Waits for the sockets as `poll` does, with a pause before it while traffic is heavy. */
  #wait(timeoutMs: number): number {
    const pauses = this.#pauseRule.after(this.now, this.#turnBytes);
    this.#turnBytes = 0;
    if (pauses) {
      this.#parts.calls.usleep(PAUSE_MICROSECONDS);
      const ready = this.#poll.wait(0);
      if (ready !== 0) return ready;
    }
    return this.#poll.wait(timeoutMs);
  }

  #tick(): void {
    this.#tickedAt = this.now;
    this.#parts.rules.tick(this.now);
    this.#parts.stun.tick(this.now);
    this.#parts.sockets.tick(this.now);
  }

  #watch(): void {
    const { sockets } = this.#parts;
    for (const socket of sockets.all) this.#poll.set(socket.index + 1, socket.fd);
    this.#version = sockets.version;
  }

  #drain(socket: DoorSocket): void {
    const { calls, counts } = this.#parts;
    const receive = this.#receive;
    this.#socket = socket;
    receive.overflows = 0;
    counts[DoorCount.turns]! += 1;
    for (let round = 0; round < RECEIVES_IN_TURN; round++) {
      const slots = this.#slots;
      const received = receive.receive(socket.fd, MSG_DONTWAIT, slots);
      if (received < 0) {
        const errno = calls.errno();
        if (errno === Errno.EINTR) continue;
        if (errno !== Errno.EAGAIN) this.#failed(socket, errno);
        break;
      }
      counts[DoorCount.receivedBatches]! += received;
      let bytes = 0;
      for (let i = 0; i < received; i++) bytes += this.#handle(i);
      this.#slots = bytes >= received * LONG_MESSAGE_BYTES ? LONG_RECEIVE_SLOTS : RECEIVE_SLOTS;
      this.#countDropped(socket);
      this.#flush();
      this.#turnBytes += bytes;
      if (received < slots) return;
    }
    // More datagrams wait already.
    this.#turnBytes = 0;
  }

  /** Handles an error of a socket. An ICMP answer is about one datagram; any other error closes the socket. */
  #failed(socket: DoorSocket, errno: number): void {
    if (errno === Errno.ECONNREFUSED || errno === Errno.EHOSTUNREACH || errno === Errno.ENETUNREACH) return;
    if (errno === Errno.ENOMEM || errno === Errno.ENOBUFS) return;
    this.#parts.sockets.fail(socket, new SystemCallError('recvmmsg', errno), this.now);
  }

  /** Counts dropped datagrams. The kernel reports the total with each datagram. */
  #countDropped(socket: DoorSocket): void {
    const { overflows } = this.#receive;
    if (overflows === socket.overflows || overflows === 0) return;
    this.#parts.counts[DoorCount.kernelDropped]! += (overflows - socket.overflows) >>> 0;
    socket.overflows = overflows;
  }

  /** Handles message `i`, and returns its length. */
  #handle(i: number): number {
    const { counts, rules } = this.#parts;
    const receive = this.#receive;
    const length = receive.length(i);
    counts[DoorCount.receivedBytes]! += length;
    if (!receive.read(i)) {
      counts[DoorCount.truncated]! += 1;
      return length;
    }
    const end = receive.dataOffset(i) + length;
    this.segment = receive.segmentBytes < length ? receive.segmentBytes : 0;
    this.source = receive.nameOffset(i) >> 2;
    if (this.#socket!.isDual) unmapAddresses(this.words, this.source, receive.local);
    this.from = receive.dataOffset(i);
    do {
      if (looksLikeStun(this.bytes, this.from, end)) {
        this.to = this.segment > 0 ? Math.min(this.from + this.segment, end) : end;
        this.#answerStun();
        this.from = this.to;
        continue;
      }
      this.to = end;
      const verdict = rules.receive(this);
      if (verdict === Verdict.Forward) this.#forward(rules);
      else if (verdict === Verdict.Reply) this.#reply(rules);
      this.from = rules.end > this.from ? rules.end : end;
    } while (this.from < end);
    return length;
  }

  #forward(rules: DatagramRules): void {
    const side = rules.destination * SIDE_WORDS;
    const socket = this.#parts.sockets.all[rules.sides[side + SideWord.Socket]!];
    socket?.outgoing.forward(this.from, rules.end, this.segment, rules.sides, side);
  }

  #reply(rules: DatagramRules): void {
    const out = this.#nextReply();
    const length = rules.replyLength;
    const { reply } = rules;
    for (let i = 0; i < length; i++) out[i] = reply[i]!;
    this.#sendReply(length);
  }

  #answerStun(): void {
    const { stun, sighted } = this.#parts;
    if (this.#queries.isAnswer(this.bytes, this.from)) {
      const sighting = this.#queries.take(this.bytes, this.from, this.to);
      if (sighting === null) this.#parts.counts[DoorCount.stunNotStun]! += 1;
      else sighted(sighting);
      return;
    }
    const length = stun.answer(this.#nextReply(), this.bytes, this.from, this.to, this.words, this.source);
    if (length > 0) this.#sendReply(length);
  }

  #nextReply(): Buffer {
    if (this.#repliesUsed === REPLIES) this.#flush();
    return this.#replies[this.#repliesUsed]!;
  }

  /**
   * Sends the content of `#nextReply` to the sender of the datagram, from the address that the datagram was sent to.
   */
  #sendReply(length: number): void {
    const at = this.#replyAt + this.#repliesUsed++ * REPLY_BYTES;
    const { local, interfaceIndex } = this.#receive;
    const onInterface = needsInterface(local) ? interfaceIndex : 0;
    this.#socket!.outgoing.reply(at, at + length, this.words, this.source, local, onInterface);
  }

  #flush(): void {
    for (const socket of this.#parts.sockets.all) if (!socket.outgoing.isEmpty) socket.outgoing.flush();
    this.#repliesUsed = 0;
  }
}

/** Returns whether a local address is an IPv6 address that needs its interface (fe80::/10). */
function needsInterface(local: Int32Array): boolean {
  return (local[0]! & 0xc0ff) === 0x80fe && (local[2]! | local[3]!) !== 0;
}
