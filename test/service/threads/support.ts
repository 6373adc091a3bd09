import assert from 'node:assert/strict';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../../src/client/options.ts';
import type { InheritedSockets } from '../../../src/service/inherited-sockets.ts';
import { TestRelay } from '../support.ts';

/** Longest wait in milliseconds; an idle machine needs only some milliseconds. */
export const PATIENCE_MS = 40_000;
const MOST_TRIES = 200;

/** A relay of two threads: the main one, with index 0, and one more. */
export class TwoThreads {
  readonly test: TestRelay;

  private constructor(test: TestRelay) {
    this.test = test;
  }

  static async start(env: Record<string, string> = {}, inherited?: InheritedSockets): Promise<TwoThreads> {
    return new TwoThreads(await TestRelay.start({ TOWPATH_THREADS: '2', ...env }, undefined, inherited));
  }

  /** Connects a client to the thread of this index. The kernel chooses the thread, so that it may need several attempts. */
  async client(thread: number, options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    const { relay } = this.test;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const before = relay.ownCounters.accepts;
      const client = await this.test.client({ timeoutMs: PATIENCE_MS, ...options });
      const isMain = relay.ownCounters.accepts > before;
      if (isMain === (thread === 0)) return client;
      const others = Math.max(0, (await this.#connectionsOf(client)) - 1);
      client.close();
      // The next attempt may have the same key, and must be the only one.
      while ((await this.#connectionsOf(client)) > others) await new Promise(setImmediate);
    }
    return assert.fail('no connection came to that thread');
  }

  async #connectionsOf({ publicKey }: DerpClient): Promise<number> {
    const threads = this.test.relay.threads!;
    await threads.refreshSessions();
    const name = publicKey.toString('hex');
    return threads.snapshot().sessions.filter(({ key }) => key === name).length;
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await this.test.until(condition, what, PATIENCE_MS);
  }

  stop(): Promise<void> {
    return this.test.stop();
  }
}
