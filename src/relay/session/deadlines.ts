import type { Clock } from '../../base/clock.ts';
import { Timed, type TimingWheel } from '../../base/timing-wheel.ts';
import type { Endpoint, Stream } from '../../transport/port.ts';
import { CheckResult, sendWatch, type Watched } from '../../transport/shared/send-watch.ts';
import type { Outbox } from './outbox.ts';

/** KeepAlive periods are spread by up to this much, chosen once for each connection (protocol reference §4.5). */
const KEEP_ALIVE_JITTER_MS = 5000;
/** KeepAlives that are due within so long are sent together: each wake-up of an idle relay costs processor time. */
const KEEP_ALIVE_STEP_MS = 250;
/** A stream that has taken nothing for so long has a slow reader. */
const SLOW_AFTER_MS = 200;
/** And after so long the kernel is asked about it. */
const WATCHED_AFTER_MS = 1000;
/** Where the kernel does not tell whether the peer takes bytes, it has this many times the write deadline. */
const UNSEEN_FACTOR = 4;
/** Added to now: a time that the next tick of the clock has passed, but this one has not. */
const NEXT_TICK_MS = 1;

export interface DeadlineLimits {
  /** From the upgrade to a valid ClientInfo. */
  readonly derpHandshakeMs: number;
  /** How long a packet may wait for a connection that takes others. */
  readonly queueMs: number;
  /** How long a connection may take nothing while something waits for it. */
  readonly writeDeadlineMs: number;
}

/** What all sessions share of time. */
interface TimeParts {
  readonly wheel: TimingWheel;
  readonly clock: Clock;
  readonly limits: DeadlineLimits;
}

/** Told what a time that has come means. */
export interface DeadlineListener {
  /** The client is not open in time. */
  handshakeExpired(): void;
  /** The peer has taken nothing for too long. */
  writeExpired(): void;
  /** It is time for a KeepAlive frame. */
  keepAliveDue(): void;
}

/**
 * Everything of one session that depends on time. It is on the wheel at the earliest time that matters: an idle session
 * is looked at once per KeepAlive, one whose stream is blocked or was so a moment ago at each tick.
 */
export class SessionDeadlines extends Timed implements Watched {
  readonly #listener: DeadlineListener;
  readonly #stream: Stream;
  readonly #outbox: Outbox;
  readonly #time: TimeParts;
  /** 0 until the connection is open. */
  #keepAlivePeriodMs = 0;
  /** When the next KeepAlive is due, or before the connection is open, when it is too late for that. */
  #nextAt: number;
  #writeDeadlineMs: number;
  /** When the stream was last seen to take something, while it does not take all; 0 while it does. */
  #blockedSince = 0;
  /** When the outbox is next to drop what has waited for too long. */
  #agedAt = 0;
  /** The kernel is asked whether the peer takes something. */
  #isWatched = false;
  /** The kernel does not tell. */
  #isUnseen = false;
  #isStopped = false;

  constructor(listener: DeadlineListener, stream: Stream, outbox: Outbox, time: TimeParts) {
    super();
    this.#listener = listener;
    this.#stream = stream;
    this.#outbox = outbox;
    this.#time = time;
    this.#writeDeadlineMs = time.limits.writeDeadlineMs;
    this.#nextAt = time.clock.now + time.limits.derpHandshakeMs;
    this.#schedule(this.#nextAt);
  }

  get local(): Endpoint {
    return this.#stream.local;
  }

  get peer(): Endpoint {
    return this.#stream.peer;
  }

  /** How long the connection may take nothing, in place of the limit for clients. */
  setWriteDeadline(ms: number): void {
    this.#writeDeadlineMs = ms;
  }

  /** The stream did not take everything. */
  get isBlocked(): boolean {
    return this.#blockedSince > 0;
  }

  /** The handshake is done. KeepAlive frames are due every `periodMs` and a jitter of this connection. */
  opened(periodMs: number): void {
    const { now } = this.#time.clock;
    this.#keepAlivePeriodMs = periodMs + Math.random() * KEEP_ALIVE_JITTER_MS;
    this.#nextAt = now + this.#keepAlivePeriodMs;
    this.#scheduleNext(now);
  }

  /** A flush left something behind. */
  blocked(): void {
    if (this.#blockedSince > 0 || this.#isStopped) return;
    this.#blockedSince = this.#time.clock.now;
    this.#scheduleNext(this.#blockedSince);
  }

  /** The stream takes bytes again, or is gone. */
  unblocked(): void {
    if (this.#isWatched) sendWatch.forget(this);
    this.#isWatched = this.#isUnseen = false;
    this.#blockedSince = 0;
  }

  /** Nothing is due any more. */
  stop(): void {
    this.#isStopped = true;
    this.#time.wheel.cancel(this);
  }

  override reached(now: number): void {
    if (this.#keepAlivePeriodMs === 0 && now >= this.#nextAt) {
      this.#listener.handshakeExpired();
    } else if (this.#blockedSince > 0 && this.#isStuck(now)) {
      this.#listener.writeExpired();
    } else if (now >= this.#agedAt && this.#outbox.bytes > 0) {
      // Twice in the time, so that nothing waits for longer than that.
      this.#agedAt = now + this.#time.limits.queueMs / 2;
      this.#outbox.dropAged();
    } else if (now >= this.#nextAt) {
      this.#nextAt += this.#keepAlivePeriodMs;
      this.#listener.keepAliveDue();
    }
    if (this.#isStopped) return;
    if (this.#outbox.offersLittle && this.#blockedSince === 0) this.#outbox.offerMore();
    this.#scheduleNext(now);
  }

  /** The kernel was asked: the peer has taken bytes, or has not, or it cannot be told. */
  checked(result: CheckResult): void {
    this.#isUnseen = result === CheckResult.Unknown;
    if (result === CheckResult.Moved && this.#blockedSince > 0) this.#blockedSince = this.#time.clock.now;
  }

  #scheduleNext(now: number): void {
    const needsTicks = this.#blockedSince > 0 || this.#outbox.offersLittle;
    this.#schedule(needsTicks ? now + NEXT_TICK_MS : Math.ceil(this.#nextAt / KEEP_ALIVE_STEP_MS) * KEEP_ALIVE_STEP_MS);
  }

  #schedule(at: number): void {
    this.#time.wheel.schedule(this, at);
    this.#time.clock.tickBy(at);
  }

  /** Whether the peer must be taken for dead. A slow one is not: it is watched once it has kept us waiting for a while. */
  #isStuck(now: number): boolean {
    const waitedMs = now - this.#blockedSince;
    if (waitedMs < SLOW_AFTER_MS) return false;
    this.#outbox.offerLess();
    const deadlineMs = this.#writeDeadlineMs;
    if (!this.#isWatched && waitedMs >= Math.min(WATCHED_AFTER_MS, deadlineMs / 4)) {
      this.#isWatched = true;
      sendWatch.watch(this);
    }
    return waitedMs >= (this.#isUnseen ? deadlineMs * UNSEEN_FACTOR : deadlineMs);
  }
}
