import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { nextPacket, TestRelay, within } from '../support.ts';
import { PATIENCE_MS, TwoThreads } from './support.ts';

const SENT = 3000;
/** With this setting, all packets of a test fit into the queue of one client. */
const ROOMY = { TOWPATH_LIMITS_QUEUE_BYTES: '16777216', TOWPATH_LIMITS_QUEUE_MS: '60000' };

/** Checks that a packet of `from` reaches `to`, in any threads. */
async function passes(from: DerpClient, to: DerpClient, text: string): Promise<void> {
  const next = nextPacket(to);
  from.send(to.publicKey, Buffer.from(text));
  const { source, packet } = await next;
  assert.deepEqual([source, packet.toString()], [from.publicKey, text]);
}

/** Resolves when the connection has ended. */
function closed(client: DerpClient): Promise<void> {
  if (!client.isOpen) return Promise.resolve();
  return within(
    new Promise((resolve) => (client.handler = { ...client.handler, closed: () => resolve() })),
    'the end of a connection',
    PATIENCE_MS,
  );
}

suite('a relay of two threads', { timeout: 120_000 }, () => {
  let two: TwoThreads;
  before(async () => (two = await TwoThreads.start(ROOMY)));
  after(() => two.stop());

  test('passes packets within each thread and across, both ways', async () => {
    const clients = await Promise.all([0, 0, 1, 1].map((thread) => two.client(thread)));
    for (const from of clients) for (const to of clients) if (from !== to) await passes(from, to, 'hello');
    const { counters } = two.test.relay;
    await two.until(() => counters.packetsSent === 12 && counters.packetsReceived === 12, 'all are counted, once');
    assert.deepEqual([counters.connections, counters.localKeys, two.test.relay.sessionCount], [4, 4, 4]);
    for (const client of clients) client.close();
    await two.until(() => counters.connections === 0 && counters.localKeys === 0, 'all have left');
  });

  test('many packets from each side at the same time arrive in order, each once', async () => {
    const [a, b] = [await two.client(0), await two.client(1)];
    const received = [a, b].map((client) => {
      const numbers: number[] = [];
      const all = new Promise<void>((resolve) => {
        client.handler = {
          packet: (_source, buffer, from) => {
            if (numbers.push(buffer.readUInt32BE(from)) === SENT) resolve();
          },
        };
      });
      return { numbers, all };
    });
    for (let number = 0; number < SENT; number++) {
      const packet = Buffer.alloc(1200);
      packet.writeUInt32BE(number);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        while (!from.send(to.publicKey, packet)) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await within(Promise.all(received.map(({ all }) => all)), 'all packets', PATIENCE_MS);
    const expected = Array.from({ length: SENT }, (_, number) => number);
    for (const { numbers } of received) assert.deepEqual(numbers, expected);
    for (const client of [a, b]) client.close();
  });

  test('who had packets of a client in another thread hears that it has gone', async () => {
    const [a, b] = [await two.client(0), await two.client(1)];
    await passes(a, b, 'from the main thread');
    await passes(b, a, 'from the other one');
    const gone = within(
      new Promise<Buffer>((resolve) => (a.handler = { peerGone: (key) => resolve(Buffer.from(key)) })),
      'the notice',
      PATIENCE_MS,
    );
    b.close();
    assert.deepEqual(await gone, b.publicKey);
    a.close();
  });

  test('two connections with one key in two threads: both are told, and the last writer gets the packets', async () => {
    const keys = generateNodeKeyPair();
    const texts: string[][] = [[], []];
    const handler = (index: number): object => ({ handler: { health: (text: string) => texts[index]!.push(text) } });
    const sender = await two.client(0);
    const first = await two.client(0, { keys, ...handler(0) });
    const second = await two.client(1, { keys, ...handler(1) });
    await two.until(() => texts.every((list) => list.length > 0), 'both are told that they are not alone');
    const { counters } = two.test.relay;
    await two.until(() => counters.duplicateKeys === 1 && counters.duplicateConnections === 2, 'it is counted');
    await passes(sender, second, 'to the newest');
    await first.ping();
    await second.ping();
    await first.ping();
    await passes(sender, first, 'to the last writer');
    second.close();
    await two.until(() => texts[0]!.at(-1) === '', 'the first is alone again');
    for (const client of [sender, first]) client.close();
  });

  test('answers HTTP in each thread', async () => {
    const before = two.test.relay.ownCounters.openStreams;
    assert.equal(before, two.test.relay.ownCounters.openStreams);
    for (let i = 0; i < 20; i++) {
      const socket = await two.test.tls();
      const head = within(
        new Promise<string>((resolve) => socket.once('data', (data: Buffer) => resolve(data.toString('latin1')))),
        'an answer',
        PATIENCE_MS,
      );
      socket.write('GET /derp/probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      assert.match(await head, /^HTTP\/1\.1 200 /);
      socket.destroy();
    }
  });

  test('an operator ends the connections of a key in whatever thread', async () => {
    const keys = generateNodeKeyPair();
    const [first, second] = [await two.client(0, { keys }), await two.client(1, { keys })];
    assert.equal(await two.test.relay.disconnect(keys.publicKey), 2);
    await Promise.all([closed(first), closed(second)]);
    await two.until(() => two.test.relay.counters.refusals.disconnected === 2, 'both are counted');
  });

  test('an operator is told how many connections that were, also by many threads at once', async (t) => {
    const relay = await TestRelay.start({ TOWPATH_THREADS: '4' });
    t.after(() => relay.stop());
    const keys = generateNodeKeyPair();
    const clients = await Promise.all(Array.from({ length: 12 }, () => relay.client({ keys, timeoutMs: PATIENCE_MS })));
    const all = Promise.all(clients.map(closed));
    assert.equal(await relay.relay.disconnect(keys.publicKey), clients.length);
    await all;
  });

  test('a reload reaches each thread', async () => {
    const { relay, config } = two.test;
    const both = (policy: string): void => {
      const env = { TOWPATH_DUPLICATES: policy, TOWPATH_HOSTNAME: '127.0.0.1' };
      const { duplicates } = loadConfig({ env }).config;
      assert.deepEqual(relay.reload({ ...config, duplicates }).restart, []);
    };
    both('disable-fighters');
    const keys = generateNodeKeyPair();
    const sender = await two.client(1);
    const [first, second] = [await two.client(1, { keys }), await two.client(0, { keys })];
    const { counters } = relay;
    await two.until(() => counters.duplicateConnections === 2, 'both are there');
    const dropped = (): number => counters.dropPackets.flat().reduce((sum, count) => sum + count, 0);
    const before = dropped();
    // The other thread gets the policy later, so that several rounds may be needed.
    for (let round = 0; round < 200 && dropped() === before; round++) {
      for (const client of [second, first, second, first]) await client.ping();
      sender.send(keys.publicKey, Buffer.from('to nobody'));
      await sender.ping();
    }
    await two.until(() => dropped() > before, 'both are disabled in the thread of the sender');
    both('last-writer');
    for (const client of [sender, first, second]) client.close();
    await two.until(() => counters.connections === 0, 'all have left');
  });

  test('a thread that dies takes its connections along, and only these; it is started again', async () => {
    const [a, b, c] = [await two.client(0), await two.client(1), await two.client(0)];
    await passes(b, a, 'so that it is missed');
    const gone = within(
      new Promise<Buffer>((resolve) => (a.handler = { peerGone: (key) => resolve(Buffer.from(key)) })),
      'the notice',
      PATIENCE_MS,
    );
    const { relay, lines } = two.test;
    const counted = relay.counters.packetsSent;
    await relay.threads!.kill(1);
    await closed(b);
    assert.deepEqual(await gone, b.publicKey);
    await passes(a, c, 'the main thread goes on');
    await two.until(() => lines.some((line) => line.includes('runs again')), 'it runs again');
    assert.ok(lines.some((line) => line.includes('a relay thread has ended')));
    const d = await two.client(1);
    await passes(a, d, 'to the new thread');
    await passes(d, c, 'from the new thread');
    const restarts = relay.threads!.metrics().find(({ name }) => name === 'towpath_relay_thread_restarts_total')!;
    assert.deepEqual([...restarts.read()], [[{}, 1]]);
    const { threads } = relay.api.threads();
    assert.deepEqual(
      threads.map(({ index, isRunning, restarts: times }) => [index, isRunning, times]),
      [
        [0, true, 0],
        [1, true, 1],
      ],
    );
    assert.deepEqual([threads[0]?.endedAt, threads[0]?.problem], [null, null]);
    assert.match(threads[1]?.problem ?? '', /ended/);
    assert.ok(Date.parse(threads[1]?.endedAt ?? '') <= Date.now());
    await two.until(() => relay.api.threads().threads[1]!.connections === 1, 'the new thread has its client');
    await two.until(() => relay.api.threads().threads[1]!.sentPackets >= 1, 'and counts its packets');
    await two.until(() => relay.counters.packetsSent >= counted + 3, 'what was counted stays counted');
    await two.until(() => relay.counters.connections === 3, 'who was in the thread that died does not count any more');
    for (const client of [a, c, d]) client.close();
  });
});

suite('a relay of two threads and its ends', { timeout: 120_000 }, () => {
  test('admits in each thread whom the sources admit, and ends whom they do not admit any more', async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-threads-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const allowFile = path.join(folder, 'keys');
    const keys = [generateNodeKeyPair(), generateNodeKeyPair(), generateNodeKeyPair()];
    const write = (list: typeof keys): void =>
      writeFileSync(allowFile, list.map(({ publicKey }) => `${formatNodeKey(publicKey)}\n`).join(''));
    write(keys.slice(0, 2));
    const two = await TwoThreads.start({
      TOWPATH_ADMISSION_SOURCES: JSON.stringify([{ kind: 'keys', name: 'list', allowFile }]),
      TOWPATH_SOURCES_REFUSALS_PER_MINUTE: '0',
    });
    t.after(() => two.stop());
    const [a, b] = [await two.client(0, { keys: keys[0]! }), await two.client(1, { keys: keys[1]! })];
    await passes(a, b, 'both are in');
    for (let i = 0; i < 6; i++) await assert.rejects(two.test.client({ keys: keys[2]! }));
    const { relay } = two.test;
    await two.until(() => relay.counters.refusals.not_admitted === 6, 'all refusals are counted');
    write(keys.slice(0, 1));
    const end = closed(b);
    relay.reloadFiles();
    await end;
    assert.ok(a.isOpen);
  });

  test('limits by source and in all hold for the threads together', async () => {
    const two = await TwoThreads.start({
      TOWPATH_SOURCES_EXEMPT: 'none',
      TOWPATH_PROXY_TRUSTED: '192.0.2.0/24',
      TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '3',
      TOWPATH_SOURCES_FAILURES_PER_MINUTE: '0',
      TOWPATH_SOURCES_CONNECTIONS_PER10_SECONDS: '0',
    });
    try {
      const { test: relayTest } = two;
      const { relay, lines } = relayTest;
      // The three connections may be in any threads.
      for (let i = 0; i < 3; i++) await relayTest.client({ timeoutMs: PATIENCE_MS });
      for (let i = 0; i < 6; i++) await assert.rejects(relayTest.client());
      await two.until(() => relay.counters.refusals.source_limit >= 6, 'they are counted');
      await relay.threads!.kill(1);
      await two.until(() => lines.some((line) => line.includes('runs again')), 'it runs again');
      // The connections of the ended thread do not count any more.
      for (let i = relay.ownCounters.connections; i < 3; i++) await relayTest.client({ timeoutMs: PATIENCE_MS });
      for (let i = 0; i < 3; i++) await assert.rejects(relayTest.client());
    } finally {
      await two.stop();
    }
  });

  test('drains the clients of all threads', async () => {
    const two = await TwoThreads.start({ TOWPATH_DRAIN_SECONDS: '1' });
    try {
      const clients = [await two.client(0), await two.client(1)];
      const told = clients.map(
        (client) =>
          new Promise<void>((resolve) => (client.handler = { ...client.handler, restarting: () => resolve() })),
      );
      const ends = clients.map((client, i) => told[i]!.then(() => closed(client)));
      await two.test.relay.drain();
      await Promise.all(ends);
      assert.equal(two.test.relay.ownCounters.connections, 0);
      await assert.rejects(two.test.client(), 'no thread listens any more');
    } finally {
      await two.stop();
    }
  });
});
