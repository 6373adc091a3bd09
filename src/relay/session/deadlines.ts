import type { Clock } from '../../base/clock.ts';
import { Timed, type TimingWheel } from '../../base/timing-wheel.ts';
import type { Endpoint, Stream } from '../../transport/port.ts';
import { CheckResult, sendWatch, type Watched } from '../../transport/shared/send-watch.ts';
import type { Outbox } from './outbox.ts';

/** KeepAlive periods are spread by up to this much, chosen once for each connection (protocol reference §4.5). */
const KEEP_ALIVE_JITTER_MS = 5000;
/** KeepAlives that are due within so long are sent together: each wake-up of an idle relay costs processor time. */
const KEEP_ALIVE_STEP_MS = 250;
/** A stream that has taken nothing for this long has a slow reader. */
const SLOW_AFTER_MS = 200;
/** After this time the kernel is asked whether the peer takes bytes. */
const WATCHED_AFTER_MS = 1000;
/** When the kernel does not know whether the peer takes bytes, the peer has this many times the write deadline. */
const UNSEEN_FACTOR = 4;
/** Added to the present time, so that the next tick of the clock is due and this one is not. */
const NEXT_TICK_MS = 1;

export interface DeadlineLimits {
  /** Time limit from the upgrade to a valid ClientInfo. */
  readonly derpHandshakeMs: number;
  /** Longest time that a packet waits for a connection that takes others. */
  readonly queueMs: number;
  /** Longest time that a connection may take no bytes while some wait for it. */
  readonly writeDeadlineMs: number;
}

/** What all sessions share of time. */
interface TimeParts {
  readonly wheel: TimingWheel;
  readonly clock: Clock;
  readonly limits: DeadlineLimits;
}

/** Receives the events of expired times. */
export interface DeadlineListener {
  /** The handshake was not finished in time. */
  handshakeExpired(): void;
  /** The peer has taken no bytes for too long. */
  writeExpired(): void;
  /** A KeepAlive frame is due. */
  keepAliveDue(): void;
}

/**
 * All deadlines of one session. It is on the wheel at the earliest of them: an idle session is checked once per
 * KeepAlive, and one whose stream is blocked, or was blocked a moment ago, at each tick.
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
  /** When the blocked stream last took bytes; 0 while it is not blocked. */
  #blockedSince = 0;
  /** When the outbox next drops packets that have waited too long. */
  #agedAt = 0;
  /** True while the kernel is asked whether the peer takes bytes. */
  #isWatched = false;
  /** True when the kernel does not know. */
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

  /** Sets how long the connection may take no bytes, instead of the limit for clients. */
  setWriteDeadline(ms: number): void {
    this.#writeDeadlineMs = ms;
  }

  /** True when the stream did not take everything. */
  get isBlocked(): boolean {
    return this.#blockedSince > 0;
  }

  /** The handshake is done. KeepAlive frames are due every `periodMs` plus this connection's jitter. */
  opened(periodMs: number): void {
    const { now } = this.#time.clock;
    this.#keepAlivePeriodMs = periodMs + Math.random() * KEEP_ALIVE_JITTER_MS;
    this.#nextAt = now + this.#keepAlivePeriodMs;
    this.#scheduleNext(now);
  }

  /** A flush did not write everything. */
  blocked(): void {
    if (this.#blockedSince > 0 || this.#isStopped) return;
    this.#blockedSince = this.#time.clock.now;
    this.#scheduleNext(this.#blockedSince);
  }

  /** The stream takes bytes again, or has ended. */
  unblocked(): void {
    if (this.#isWatched) sendWatch.forget(this);
    this.#isWatched = this.#isUnseen = false;
    this.#blockedSince = 0;
  }

  /** Removes all deadlines. */
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
      // Called twice in the time, so that no packet waits longer than the limit.
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

  /** The kernel's answer: the peer has taken bytes, has not, or it is unknown. */
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

  /** Returns whether the peer counts as dead. A slow peer does not: it is watched from `WATCHED_AFTER_MS` on. */
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
