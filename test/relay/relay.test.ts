import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { EventEmitter } from 'node:events';
import { Clock, SLOW_TICK_MS } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Relay, type RelayEvents } from '../../src/relay/relay.ts';
import type { Admission } from '../../src/relay/session/admission.ts';
import { addCounters } from '../../src/relay/snapshot.ts';
import { relaySettings } from '../../src/service/relay-settings.ts';
import { transport } from '../../src/transport/runtime.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../src/wire/keys.ts';

const { config } = loadConfig({ env: { TOWPATH_HOSTNAME: '127.0.0.1', TOWPATH_TRANSPORT: 'plain' } });
const TIMEOUT_MS = 20_000;

/** A relay on a free port with only its settings, in the form in which another thread gets them, and its ports. */
class Bare {
  readonly clock = new Clock();
  readonly events: string[] = [];
  readonly happened = new EventEmitter();
  readonly relay: Relay;

  constructor(admission: Admission = { admit: () => ({ admitted: true }) }) {
    const events: RelayEvents = {
      refused: (reason) => this.#note(`refused ${reason}`),
      opened: (_remote, key) => this.#note(`opened ${formatNodeKey(key)}`),
      closed: (_remote, key) => this.#note(`closed ${formatNodeKey(key)}`),
      listenerError: (error) => this.#note(error.message),
      link: () => undefined,
      memory: () => undefined,
    };
    const settings = structuredClone(relaySettings(config, generateNodeKeyPair()));
    const http = (stream: { abort(): void }): void => stream.abort();
    const residentBytes = (): number => 0;
    this.relay = new Relay(settings, { transport, clock: this.clock, admission, http, events, residentBytes });
    this.clock.start();
  }

  get url(): string {
    return `http://127.0.0.1:${this.relay.addresses[0]!.port}/derp`;
  }

  async close(): Promise<void> {
    await this.relay.closePorts();
    this.relay.close();
    this.clock.stop();
  }

  #note(event: string): void {
    this.events.push(event);
    this.happened.emit('event');
  }
}

/** Resolves when the time between two ticks of the clock, in milliseconds, is as `isWanted` says; `ticked` is called at each. */
function nextGap(
  clock: Clock,
  isWanted: (gapMs: number) => boolean,
  ticked: () => void = () => undefined,
): Promise<void> {
  return new Promise((resolve) => {
    let before = clock.now;
    const leave = clock.onTick((now) => {
      ticked();
      if (isWanted(now - before)) {
        leave();
        resolve();
      }
      before = now;
    }, SLOW_TICK_MS);
  });
}

suite('a relay that has only settings and ports', () => {
  test('passes a packet, counts it and tells of its clients', async () => {
    const bare = new Bare();
    await bare.relay.listen({ ip: '127.0.0.1', port: 0 }, null);
    const { clock, relay, url } = bare;
    const [alice, bob] = [generateNodeKeyPair(), generateNodeKeyPair()];
    const received = Promise.withResolvers<string>();
    const handler = {
      packet: (_source: Buffer, buffer: Buffer, from: number, to: number) =>
        received.resolve(buffer.toString('latin1', from, to)),
    };
    const options = { transport, clock, url, timeoutMs: TIMEOUT_MS };
    const receiver = await connectDerp({ ...options, keys: bob, handler });
    const sender = await connectDerp({ ...options, keys: alice });
    sender.send(bob.publicKey, Buffer.from('hello'));
    assert.equal(await received.promise, 'hello');
    const snapshot = structuredClone(relay.snapshot());
    assert.equal(snapshot.sessions.length, 2);
    assert.equal(snapshot.counters.packetsSent, 1);
    const both = addCounters([snapshot.counters, snapshot.counters]);
    assert.equal(both.packetsSent, 2);
    receiver.abort();
    sender.abort();
    while (relay.sessionCount > 0) await once(bare.happened, 'event');
    assert.deepEqual(
      bare.events.filter((event) => event.startsWith('opened')).sort(),
      [`opened ${formatNodeKey(alice.publicKey)}`, `opened ${formatNodeKey(bob.publicKey)}`].sort(),
    );
    await bare.close();
  });

  test('is woken once a second while nothing happens, and more often while packets come', async () => {
    const bare = new Bare();
    await bare.relay.listen({ ip: '127.0.0.1', port: 0 }, null);
    const { clock, url } = bare;
    const isShort = (gapMs: number): boolean => gapMs < SLOW_TICK_MS / 2;
    await nextGap(clock, (gapMs) => !isShort(gapMs));
    // The client needs its own ticks.
    const other = new Clock();
    other.start();
    const keys = generateNodeKeyPair();
    const client = await connectDerp({ transport, clock: other, url, timeoutMs: TIMEOUT_MS, keys });
    await nextGap(clock, isShort, () => client.send(Buffer.alloc(32, 1), Buffer.from('hello')));
    client.abort();
    other.stop();
    await bare.close();
  });

  test('follows the verdict of its admission, and reports the refusal', async () => {
    const bare = new Bare({ admit: () => ({ admitted: false, source: 'list', reason: 'not in it' }) });
    await bare.relay.listen({ ip: '127.0.0.1', port: 0 }, null);
    const { clock, url, relay } = bare;
    await assert.rejects(connectDerp({ transport, clock, url, timeoutMs: TIMEOUT_MS }));
    assert.deepEqual(bare.events, ['refused not_admitted']);
    assert.equal(relay.snapshot().counters.refusals.not_admitted, 1);
    await bare.close();
  });
});
