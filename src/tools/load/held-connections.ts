import type { Clock } from '../../base/clock.ts';
import type { DerpClient } from '../../client/derp-client.ts';
import { Histogram } from './histogram.ts';
import type { Opener } from './opener.ts';
import type { ConnectionGroup } from './plan.ts';

const LOOK_EVERY_MS = 10;
const PING_EVERY_MS = 50;
const PING_DEADLINE_MS = 5000;
const QUEUE_BYTES = 1024;

/** Connections that carry only Pings. They are held, opened at a rate, or replaced at a rate. */
export class HeldConnections {
  /** Round trips of Pings, in microseconds. */
  readonly pings: Histogram = new Histogram();
  readonly #group: ConnectionGroup;
  readonly #opener: Opener;
  readonly #clock: Clock;
  readonly #handshakesAtOnce: number;
  /** Oldest first. */
  readonly #open = new Set<DerpClient>();
  #started = 0;
  #opening = 0;
  /** For connections that are opened at a rate: how many were opened, and since when. */
  #paced = 0;
  #pacedSinceMs = -1;
  #lookTimer: NodeJS.Timeout | undefined;
  #pingTimer: NodeJS.Timeout | undefined;

  constructor(group: ConnectionGroup, opener: Opener, clock: Clock, handshakesAtOnce: number) {
    this.#group = group;
    this.#opener = opener;
    this.#clock = clock;
    this.#handshakesAtOnce = handshakesAtOnce;
  }

  /** Starts to open them. */
  begin(): void {
    this.#lookTimer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#pingTimer = setInterval(() => this.#ping(), PING_EVERY_MS);
    this.#look();
  }

  /** Opens no more. */
  stop(): void {
    clearInterval(this.#lookTimer);
    clearInterval(this.#pingTimer);
  }

  /** Resets all connections. */
  abort(): void {
    for (const client of this.#open) {
      client.handler = {};
      client.abort();
    }
    this.#open.clear();
  }

  #look(): void {
    const { pattern, connections } = this.#group;
    while (this.#opening < this.#handshakesAtOnce) {
      const isFull = this.#open.size + this.#opening >= connections;
      if (pattern === 'churn') {
        // The first ones are opened without a rate limit. The rate is that of replacements.
        if (isFull && !this.#takePaced()) return;
        if (isFull) this.#closeOldest();
      } else if (this.#started >= connections || !this.#takePaced()) {
        return;
      }
      void this.#openOne();
    }
  }

  /** Whether the rate allows one more now. */
  #takePaced(): boolean {
    const { perSecond } = this.#group;
    if (perSecond === 0) return true;
    const nowMs = performance.now();
    if (this.#pacedSinceMs < 0) this.#pacedSinceMs = nowMs;
    if (this.#paced >= ((nowMs - this.#pacedSinceMs) / 1000) * perSecond) return false;
    this.#paced++;
    return true;
  }

  #closeOldest(): void {
    const [oldest] = this.#open;
    if (oldest === undefined) return;
    this.#open.delete(oldest);
    oldest.handler = {};
    oldest.close();
    this.#opener.counts.open--;
  }

  async #openOne(): Promise<void> {
    this.#started++;
    this.#opening++;
    try {
      const client = await this.#opener.open(this.#clock, QUEUE_BYTES);
      if (this.#opener.isStopped) {
        client.abort();
        return;
      }
      this.#open.add(client);
      client.handler = {
        closed: (error) => {
          this.#open.delete(client);
          this.#opener.disconnected(error);
        },
      };
    } catch (error) {
      if (!this.#opener.isStopped) this.#opener.failed(error);
    } finally {
      this.#opening--;
    }
  }

  /** The connections take turns. */
  #ping(): void {
    const [client] = this.#open;
    if (client === undefined) return;
    if (this.#group.pattern !== 'churn') {
      this.#open.delete(client);
      this.#open.add(client);
    }
    client.ping(PING_DEADLINE_MS).then(
      (ms) => this.pings.add(ms * 1000),
      (error: unknown) => {
        if (client.isOpen) this.#opener.connectionErrors.add(error);
      },
    );
  }
}
