import { FRAME_HEADER_BYTES } from '../../wire/frames.ts';
import { FrameDecoder, HeaderVerdict, type FrameSink } from '../../wire/frame-decoder.ts';
import type { LimitedSender } from '../fairness/fair-share.ts';
import type { ClientLimits } from '../fairness/client-limits.ts';
import type { KeyAccount, KeyLimits } from '../fairness/key-limits.ts';
import type { Wakeable } from '../../base/wake-list.ts';
import type { Stream } from '../../transport/port.ts';
import type { RefusalReason } from '../../observe/counters.ts';
import type { SessionContext } from './context.ts';
import { judgeFirstFrame, judgeFrame } from './frame-rules.ts';
import type { Reader } from './loop-turn.ts';

/** Reasons for a pause of reading. Several may apply at once. */
const Pause = { Budget: 1, Limits: 2, Admission: 4 } as const;

/** Receives the first frame of a connection, and refusals. */
export interface FirstFrameReceiver {
  /**
   * The ClientInfo frame `[from, to)`, whose length is valid. One of {@link FrameReader.awaitAdmission}, `admitted` and
   * `stop` must be called before any other frame is delivered.
   */
  clientInfo(buffer: Buffer, from: number, to: number): void;
  /** The client has broken a rule. No more bytes are read. */
  refused(reason: RefusalReason, detail: string): void;
}

/** Receives the frames of an open connection that rules and limits allow. */
export interface FrameReceiver {
  /** A frame of this type begins. Returns false to skip it. */
  begins(type: number): boolean;
  /** A whole frame that `begins` accepted: header at `from`, then the payload up to `to`. Read-only. */
  frame(type: number, buffer: Buffer, from: number, to: number): void;
}

/**
 * Reads the stream of one connection, cuts it into frames, and delivers those that rules and limits allow. A sender
 * that sends too much is not read for a time, so that it must wait. Three limits apply: bytes in one turn of the event
 * loop, the rate of its key, and the key's share of the relay's total.
 */
export class FrameReader implements FrameSink, Reader, Wakeable, LimitedSender {
  readonly #stream: Stream;
  readonly #context: SessionContext;
  readonly #first: FirstFrameReceiver;
  /** Null until the connection is open. */
  #receiver: FrameReceiver | null = null;
  readonly #decoder: FrameDecoder = new FrameDecoder(this);
  /** The client has sent the mesh key: it may send more types of frames, without rate limits. */
  #isMesh = false;
  /** The key's own limits; null when it has none. */
  #own: ClientLimits | null = null;
  #key: Buffer | null = null;
  /** The limits that made {@link #account}: a reload puts other ones into the context. */
  #limits: KeyLimits | null = null;
  /** Null without limits. */
  #account: KeyAccount | null = null;
  /** True when the waiting frame was already charged to the rate. */
  #isCharged = false;
  /** True when it was charged to all limits, and waits for its destination. */
  #isPaid = false;
  #pauses = 0;
  #turn = -1;
  /** Bytes read in this turn. */
  #turnBytes = 0;
  /** The same, plus what earlier turns read beyond their budget. */
  #usedBytes = 0;

  constructor(stream: Stream, context: SessionContext, first: FirstFrameReceiver) {
    this.#stream = stream;
    this.#context = context;
    this.#first = first;
  }

  /** Bytes from the stream. */
  bytes(buffer: Buffer, from: number, to: number): void {
    const { turn, limits } = this.#context;
    if (this.#turn !== turn.number) {
      this.#turn = turn.number;
      this.#usedBytes = this.#turnBytes = 0;
    }
    this.#usedBytes += to - from;
    this.#turnBytes += to - from;
    if (this.#usedBytes >= this.#budgetBytes && (this.#pauses & Pause.Budget) === 0) {
      // The order matters: Bun's streams check at the end of the turn, after the resuming, whether they are still
      // paused.
      turn.resumeAtEnd(this);
      this.#pause(Pause.Budget);
    }
    this.#decoder.push(buffer, from, to);
    // While frames wait, reading continues until a whole budget is held: a paused stream would not notice that its peer
    // has left, which must end the wait (protocol reference §9.59).
    if (this.#decoder.heldBytes >= limits.readBudgetBytes) this.#pause(Pause.Limits);
  }

  /** A turn begins. After a read that was larger than the budget, the reader skips turns. */
  resumeReading(): number {
    const { turn } = this.#context;
    const expected = this.#turnBytes;
    this.#usedBytes -= this.#budgetBytes;
    if (this.#usedBytes >= this.#budgetBytes) {
      turn.resumeAtEnd(this);
      return 0;
    }
    this.#turn = turn.number;
    this.#turnBytes = 0;
    this.#unpause(Pause.Budget);
    return expected;
  }

  header(type: number, payloadBytes: number): HeaderVerdict {
    const receiver = this.#receiver;
    if (receiver === null) return this.#firstHeader(type, payloadBytes);
    const refused = judgeFrame(type, payloadBytes, this.#isMesh);
    if (refused !== null) return this.#refuse(refused, type, payloadBytes);
    if (!this.#mayGoOn(payloadBytes)) return HeaderVerdict.Wait;
    return receiver.begins(type) ? HeaderVerdict.Take : HeaderVerdict.Skip;
  }

  frame(type: number, buffer: Buffer, from: number, to: number): void {
    if (this.#receiver === null) this.#first.clientInfo(buffer, from, to);
    else this.#receiver.frame(type, buffer, from, to);
  }

  /** The present frame cannot be taken yet: keeps it and all later ones until {@link sendMore}. */
  keepFrame(): void {
    this.#context.counters.fullDestinationWaits++;
    this.#isPaid = true;
    this.#decoder.keepFrame();
  }

  /** Reads nothing until {@link admitted}. */
  awaitAdmission(): void {
    this.#pause(Pause.Admission);
  }

  /**
   * The connection is open: `receiver` gets its frames, within the limits of its key (null: those of all keys), or
   * without limits when it has the mesh key.
   */
  admitted(key: Buffer, own: ClientLimits | null, isMesh: boolean, receiver: FrameReceiver): void {
    this.#receiver = receiver;
    this.#isMesh = isMesh;
    this.#key = key;
    this.#own = own;
    this.#joinLimits(this.#stream.remote.ip);
    // The bytes after the ClientInfo have waited for the verdict.
    this.sendMore();
    this.#unpause(Pause.Admission);
  }

  /**
   * The limits have changed: the rate, with a new full bucket (protocol reference §4.8), the total, or the key's own
   * limits.
   */
  setLimits(own: ClientLimits | null): void {
    this.#own = own;
    this.#isCharged = this.#isPaid = false;
    this.#leaveLimits();
    this.#joinLimits(null);
    this.sendMore();
  }

  /** There may be enough tokens now. */
  wake(): void {
    this.sendMore();
  }

  sendMore(): void {
    this.#decoder.resume();
    if (this.#decoder.heldBytes < this.#context.limits.readBudgetBytes) this.#unpause(Pause.Limits);
  }

  /** Drops what it holds and decodes nothing more. */
  stop(): void {
    this.#decoder.stop();
    this.#leaveLimits();
  }

  get #budgetBytes(): number {
    return this.#context.limits.readBudgetBytes * (this.#own?.weight ?? 1);
  }

  #joinLimits(ip: string | null): void {
    if (this.#isMesh) return;
    const { keyLimits, clock } = this.#context;
    this.#limits = keyLimits;
    const own = this.#own;
    this.#account = keyLimits.join(this.#key!, ip, own?.weight ?? 1, clock.readNow(), own ?? keyLimits.rate);
  }

  #leaveLimits(): void {
    this.#context.wakes.remove(this);
    if (this.#account !== null) this.#limits?.leave(this.#account, this, this.#context.clock.readNow());
    this.#account = null;
  }

  #firstHeader(type: number, payloadBytes: number): HeaderVerdict {
    if ((this.#pauses & Pause.Admission) !== 0) return HeaderVerdict.Wait;
    const refused = judgeFirstFrame(type, payloadBytes);
    return refused === null ? HeaderVerdict.Take : this.#refuse(refused, type, payloadBytes);
  }

  #refuse(reason: RefusalReason, type: number, payloadBytes: number): HeaderVerdict {
    this.#first.refused(reason, `frame type 0x${type.toString(16)}, ${payloadBytes} bytes`);
    return HeaderVerdict.Stop;
  }

  /**
   * Returns whether a frame of `payloadBytes` is within the limits. After false it is checked again when that can
   * change.
   */
  #mayGoOn(payloadBytes: number): boolean {
    const account = this.#account;
    if (account === null) return true;
    if (this.#isPaid) {
      this.#isPaid = false;
      return true;
    }
    const bytes = FRAME_HEADER_BYTES + payloadBytes;
    const now = this.#context.clock.readNow();
    if (!this.#isCharged && !this.#charge(account, bytes, now)) return false;
    if (!account.takeShare(this, bytes, now)) {
      this.#isCharged = true;
      this.#context.counters.totalLimitWaits++;
      return false;
    }
    this.#isCharged = false;
    return true;
  }

  #charge(account: KeyAccount, bytes: number, now: number): boolean {
    const waitMs = account.takeRate(bytes, now);
    if (waitMs === 0) return true;
    this.#context.counters.rateLimitWaits++;
    this.#context.wakes.add(this, waitMs);
    return false;
  }

  #pause(reason: number): void {
    if (this.#pauses === 0) this.#stream.pause('soft');
    this.#pauses |= reason;
  }

  #unpause(reason: number): void {
    if ((this.#pauses & reason) === 0) return;
    this.#pauses &= ~reason;
    if (this.#pauses === 0 && !this.#decoder.stopped) this.#stream.resume();
  }
}
