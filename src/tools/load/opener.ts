import type { Clock } from '../../base/clock.ts';
import { connectDerp } from '../../client/connect.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import type { Transport } from '../../transport/port.ts';
import { Histogram } from './histogram.ts';
import { noConnections, type ConnectionCounts } from './messages.ts';
import type { LoadPlan } from './plan.ts';
import { ConnectionErrors } from './connection-errors.ts';

/** Opens connections to the relay of a plan, a limited number at once, and counts successes and failures. */
export class Opener {
  readonly counts: ConnectionCounts = noConnections();
  /** From DNS to ServerInfo, in microseconds. */
  readonly durations: Histogram = new Histogram();
  readonly connectionErrors: ConnectionErrors = new ConnectionErrors();
  readonly #plan: LoadPlan;
  readonly #transport: Transport;
  #announced: number | null = null;
  #stopped = false;

  constructor(plan: LoadPlan, transport: Transport) {
    this.#plan = plan;
    this.#transport = transport;
  }

  /**
   * The limit in bytes per second that the relay announces to each client; 0 for no limit, null before the first login.
   */
  get announcedBytesPerSecond(): number | null {
    return this.#announced;
  }

  /** True once {@link stop} was called. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** One connection. `queueBytes` may wait to be written; `clock` serves its deadlines. */
  async open(clock: Clock, queueBytes: number): Promise<DerpClient> {
    const { target, connectTimeoutMs } = this.#plan;
    const client = await connectDerp({
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
    this.counts.opened++;
    this.counts.open++;
    this.durations.add(client.facts.openMs * 1000);
    this.#announced = client.facts.serverInfo.bytesPerSecond;
    return client;
  }

  /** Counts a connection that could not be opened. */
  failed(error: unknown): void {
    this.counts.failed++;
    this.connectionErrors.add(error);
  }

  /** Counts an open connection that ended unexpectedly. */
  disconnected(error: unknown): void {
    this.counts.open--;
    this.counts.disconnected++;
    this.connectionErrors.add(error);
  }

  /** Starts no further task. */
  stop(): void {
    this.#stopped = true;
  }

  /** Runs `task(0)` to `task(count - 1)`, as many at once as the plan allows. Rejects with the first error, when all have ended. */
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
