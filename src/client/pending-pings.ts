import { randomBytes } from 'node:crypto';
import type { TowpathError } from '../base/errors.ts';
import { PING_BYTES } from '../wire/frames.ts';
import { timeoutError } from './errors.ts';

interface PendingPing {
  readonly sentAtMs: number;
  readonly timeoutMs: number;
  readonly resolve: (rttMs: number) => void;
  readonly reject: (error: TowpathError) => void;
}

/** Pings whose Pong has not come (§8.5). A Pong without a waiting Ping is ignored. */
export class PendingPings {
  readonly #byData = new Map<string, PendingPing>();

  /** Records a new Ping, which the caller sends now. */
  start(timeoutMs: number): { data: Buffer; answered: Promise<number> } {
    const data = randomBytes(PING_BYTES);
    const answered = new Promise<number>((resolve, reject) => {
      this.#byData.set(data.toString('hex'), { sentAtMs: performance.now(), timeoutMs, resolve, reject });
    });
    return { data, answered };
  }

  /** A Pong with the 8 bytes at `from` came. */
  answer(buffer: Buffer, from: number): void {
    const data = buffer.toString('hex', from, from + PING_BYTES);
    const ping = this.#byData.get(data);
    if (ping === undefined) return;
    this.#byData.delete(data);
    ping.resolve(performance.now() - ping.sentAtMs);
  }

  /** Rejects the Pings whose time is over. */
  expire(): void {
    if (this.#byData.size === 0) return;
    const now = performance.now();
    for (const [data, ping] of this.#byData) {
      if (now - ping.sentAtMs < ping.timeoutMs) continue;
      this.#byData.delete(data);
      ping.reject(timeoutError('the Pong', ping.timeoutMs));
    }
  }

  /** Rejects all. */
  fail(error: TowpathError): void {
    for (const ping of this.#byData.values()) ping.reject(error);
    this.#byData.clear();
  }
}
