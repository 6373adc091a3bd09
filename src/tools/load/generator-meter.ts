import { Histogram } from './histogram.ts';

/** Time between two checks of the event loop. */
const LOOK_EVERY_MS = 20;
const US_PER_SECOND = 1_000_000;

interface CpuUsage {
  readonly user: number;
  readonly system: number;
}

/** Measures the thread it runs in: how late its timers are, and how much of a CPU it uses. */
export class GeneratorMeter {
  /** How late the timer was, in microseconds, since {@link clear}. */
  readonly lag: Histogram = new Histogram();
  readonly #threads: number;
  readonly #timer: NodeJS.Timeout;
  #expectedAtMs: number;
  #cpuUs: number;
  #atMs: number;

  /**
   * Starts. `threads`: number of threads that share the CPU time of the process, where the time of one thread is not
   * known.
   */
  constructor(threads: number) {
    this.#threads = threads;
    this.#atMs = performance.now();
    this.#expectedAtMs = this.#atMs + LOOK_EVERY_MS;
    this.#cpuUs = this.#usedUs();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** Part of one CPU that this thread used since the last call. */
  cpuShare(): number {
    const usedUs = this.#usedUs();
    const nowMs = performance.now();
    const share = ((usedUs - this.#cpuUs) / US_PER_SECOND) * (1000 / Math.max(1, nowMs - this.#atMs));
    this.#cpuUs = usedUs;
    this.#atMs = nowMs;
    return share;
  }

  /** Ends the measurement. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    this.lag.add((nowMs - this.#expectedAtMs) * 1000);
    this.#expectedAtMs = nowMs + LOOK_EVERY_MS;
  }

  #usedUs(): number {
    const ofThread = (process as { threadCpuUsage?: () => CpuUsage }).threadCpuUsage;
    const { user, system } = ofThread === undefined ? process.cpuUsage() : ofThread.call(process);
    return ofThread === undefined ? (user + system) / this.#threads : user + system;
  }
}
