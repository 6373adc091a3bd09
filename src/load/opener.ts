import type { Clock } from '../clock.ts';
import { connectDerp } from '../client/connect.ts';
import type { DerpClient } from '../client/derp-client.ts';
import type { Transport } from '../transport/port.ts';
import type { LoadPlan } from './plan.ts';

/** Opens connections to the relay of a plan, a bounded number at once. */
export class Opener {
  readonly #plan: LoadPlan;
  readonly #transport: Transport;
  #stopped = false;

  constructor(plan: LoadPlan, transport: Transport) {
    this.#plan = plan;
    this.#transport = transport;
  }

  /** One connection. `queueBytes` may wait to be written; `clock` serves its deadlines. */
  open(clock: Clock, queueBytes: number): Promise<DerpClient> {
    const { target, connectTimeoutMs } = this.#plan;
    return connectDerp({
      transport: this.#transport,
      clock,
      url: target.url,
      verify: target.verify,
      serverName: target.serverName,
      idealNode: target.idealNode,
      websocket: target.websocket,
      timeoutMs: connectTimeoutMs,
      queueBytes,
      info: { isProber: true },
      ...(target.ip === null ? {} : { ipOverride: target.ip }),
    });
  }

  /** Starts no further `task`. */
  stop(): void {
    this.#stopped = true;
  }

  /** Runs `task(0)` to `task(count - 1)`, so many at once as the plan says. Rejects with the first error, when all have ended. */
  async each(count: number, task: (index: number) => Promise<void>): Promise<void> {
    let next = 0;
    const errors: unknown[] = [];
    const lane = async (): Promise<void> => {
      while (next < count && !this.#stopped && errors.length === 0) {
        try {
          await task(next++);
        } catch (error) {
          errors.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(count, this.#plan.handshakesAtOnce) }, lane));
    if (errors.length > 0) throw errors[0];
  }
}
