import assert from 'node:assert/strict';
import { afterEach, beforeEach } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientHandler, DerpClientOptions } from '../../src/client/options.ts';
import { TowpathError } from '../../src/base/errors.ts';
import { transport } from '../../src/transport/runtime.ts';
import { makeMetaCertificate } from '../../src/certificates/x509/meta-certificate.ts';
import { certificateFor, FakeRelay, type Script } from './fake-relay.ts';

/** A scripted relay for each test, and its clients, which are closed afterwards. */
export class RelayFixture {
  relay!: FakeRelay;
  clock!: Clock;
  readonly #open: DerpClient[] = [];

  constructor() {
    beforeEach(async () => {
      this.clock = new Clock();
      this.clock.start();
      this.relay = await FakeRelay.start();
    });
    afterEach(async () => {
      for (const client of this.#open.splice(0)) client.abort();
      this.clock.stop();
      await this.relay.stop();
    });
  }

  /** Replaces the relay by one with other steps. */
  async start(script: Partial<Script>): Promise<void> {
    await this.relay.stop();
    this.relay = await FakeRelay.start(script);
  }

  /** Replaces the relay by one with TLS that shows `key`, by default its own, in a meta-certificate. */
  async startSecure(script: Partial<Script>, key?: Buffer): Promise<void> {
    await this.relay.stop();
    this.relay = await FakeRelay.start(script, certificateFor(100), (own) =>
      makeMetaCertificate(key ?? own, Date.now()),
    );
  }

  async connect(options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    const { clock, relay } = this;
    const client = await connectDerp({ transport, clock, url: relay.url, timeoutMs: 5000, ...options });
    this.#open.push(client);
    return client;
  }
}

/** Returns a check that an error is the TowpathError with this code and a matching message. */
export function refusal(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TowpathError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

/** Returns a handler, and a promise that resolves with a copy of the arguments of the first call of `name`. */
export function firstCall(name: keyof DerpClientHandler): { handler: DerpClientHandler; called: Promise<unknown[]> } {
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  const note = (...args: unknown[]): void =>
    resolve(args.map((arg) => (Buffer.isBuffer(arg) ? Buffer.from(arg) : arg)));
  return { handler: { [name]: note }, called: promise };
}
