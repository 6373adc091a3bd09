import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import type { Health } from '../observe/health.ts';

interface LivenessParts {
  readonly clock: Clock;
  readonly health: Health;
  readonly stun: { setSilent(reason: string | null): void };
  /** Null when this process does no TLS. */
  readonly certificate: (() => { readonly notBefore: Date; readonly notAfter: Date }) | null;
  /** Called at each change with the reason why STUN is silent, or null. */
  readonly changed: (reason: string | null) => void;
  /** Wall clock, milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

/** Average length of a turn from which the loop counts as behind; half of it ends that. */
const MAX_LAG_MS = 500;
/** The time over which the average is taken, so that one long turn does not count. */
const LAG_WINDOW_MS = 10_000;
/** Largest length of one turn in the average: a process that was stopped for an hour recovers soon. */
const LAG_SAMPLE_MAX_MS = 1000;
/** Time after its last error from which a listener counts as working again. */
const LISTENER_PATIENCE_MS = 10_000;
const CHECK_MS = 1000;

type Names = 'certificate-validity' | 'listener' | 'event-loop';

/**
 * Stops STUN and readiness when the relay cannot serve: the certificate is not valid, connections cannot be accepted,
 * or the event loop is behind. If STUN still answered, clients would stay with a region that does not work.
 */
export class Liveness {
  readonly #parts: LivenessParts;
  readonly #wallClock: () => number;
  readonly #leaveClock: () => void;
  readonly #problems = new Map<Names, string>();
  #tickedMs: number;
  #checkedMs: number;
  #lagMs = 0;
  #listenerError = '';
  #listenerErrorMs = -Infinity;
  #reason: string | null = null;

  constructor(parts: LivenessParts) {
    this.#parts = parts;
    this.#wallClock = parts.now ?? Date.now;
    this.#tickedMs = parts.clock.now;
    this.#checkedMs = parts.clock.now;
    this.#leaveClock = parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
  }

  /** Records that a listener could not accept. */
  listenerError(error: Error): void {
    this.#listenerError = error.message;
    this.#listenerErrorMs = this.#parts.clock.now;
    this.#check(this.#parts.clock.now);
  }

  /** Checks everything now. */
  check(): void {
    this.#check(this.#parts.clock.now);
  }

  /** Stops the timer. */
  close(): void {
    this.#leaveClock();
  }

  #tick(now: number): void {
    const elapsed = now - this.#tickedMs;
    this.#tickedMs = now;
    const lag = Math.min(this.#parts.clock.lateMs, LAG_SAMPLE_MAX_MS);
    // Weighted by time, because a slow loop has few ticks.
    const weight = 1 - Math.exp(-Math.min(elapsed, LAG_SAMPLE_MAX_MS) / LAG_WINDOW_MS);
    this.#lagMs += (lag - this.#lagMs) * weight;
    if (now - this.#checkedMs >= CHECK_MS) this.#check(now);
  }

  #check(now: number): void {
    this.#checkedMs = now;
    this.#set('certificate-validity', this.#certificateProblem());
    const isListening = now - this.#listenerErrorMs >= LISTENER_PATIENCE_MS;
    this.#set('listener', isListening ? null : `connections cannot be accepted: ${this.#listenerError}`);
    const bound = this.#problems.has('event-loop') ? MAX_LAG_MS / 2 : MAX_LAG_MS;
    this.#set('event-loop', this.#lagMs <= bound ? null : 'the event loop is behind: this machine is too slow or busy');
    const reason = [...this.#problems.values()][0] ?? null;
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#parts.stun.setSilent(reason);
    this.#parts.changed(reason);
  }

  #set(name: Names, problem: string | null): void {
    if (problem === null) this.#problems.delete(name);
    else this.#problems.set(name, problem);
    this.#parts.health.set(name, problem);
  }

  #certificateProblem(): string | null {
    if (this.#parts.certificate === null) return null;
    const { notBefore, notAfter } = this.#parts.certificate();
    const now = this.#wallClock();
    if (now > notAfter.getTime()) return `the certificate expired at ${notAfter.toISOString()}`;
    if (now < notBefore.getTime()) {
      // Only the date: a reason with a changing time would be logged as new at each check.
      const today = new Date(now).toISOString().slice(0, 10);
      return `the certificate is not valid before ${notBefore.toISOString()}; this machine's clock says ${today}`;
    }
    return null;
  }
}
