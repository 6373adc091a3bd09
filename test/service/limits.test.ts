import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { nextPacket, TestRelay, untilClosed, within } from './support.ts';

suite('rate limit of a connection', () => {
  test('§9.58 §9.64 the limit is announced, and frames beyond it wait', async () => {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: '200000' });
    try {
      const client = await relay.client();
      assert.deepEqual(client.facts.serverInfo, { version: 2, bytesPerSecond: 200_000, burstBytes: 65_568 });
      // Unknown frames use the rate too (§9.97), but not the client's own bucket.
      const frame = Buffer.alloc(5 + 65_568);
      frame[0] = 0x7f;
      frame.writeUInt32BE(65_568, 1);
      const startedAt = performance.now();
      client.sendFrame(frame);
      client.sendFrame(frame);
      await client.ping(10_000);
      assert.ok(performance.now() - startedAt > 300, 'filling the bucket again takes 65568 / 200000 s');
      assert.ok(relay.relay.counters.rateLimitWaits >= 1, 'the second frame waits for tokens');
    } finally {
      await relay.stop();
    }
  });

  for (const websocket of [false, true]) {
    test(`largest packets go on at the rate, ${websocket ? 'over WebSocket' : 'over TLS'}`, async () => {
      const relay = await TestRelay.start({ TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: '400000' });
      try {
        const queueBytes = 1_000_000;
        const [a, b] = await Promise.all([relay.client({ websocket, queueBytes }), relay.client({ websocket })]);
        const frame = Buffer.alloc(5 + 32 + 65_536);
        frame[0] = 4;
        frame.writeUInt32BE(32 + 65_536, 1);
        frame.set(b.publicKey, 5);
        let arrived = 0;
        const all = new Promise<void>((resolve) => {
          b.handler = { packet: () => ++arrived === 5 && resolve() };
        });
        for (let i = 0; i < 5; i++) assert.ok(a.sendFrame(frame));
        await within(all, 'five packets, of which four wait for tokens');
      } finally {
        await relay.stop();
      }
    });
  }

  test('§9.61 a reload replaces the limit of open connections, and rate 0 removes it', async () => {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: '1' });
    try {
      const client = await relay.client();
      const frame = Buffer.alloc(5 + 65_568);
      frame[0] = 0x7f;
      frame.writeUInt32BE(65_568, 1);
      client.sendFrame(frame);
      const waiting = client.ping(10_000);
      await relay.until(() => relay.relay.counters.rateLimitWaits === 1, 'the ping waits');
      const { config } = loadConfig({});
      const restart = new Set(relay.relay.reload(config).restart);
      assert.ok(restart.has('listen'), 'keys that need a restart are named');
      const limits = { ...config.limits, connectionsPerKey: 7, connections: 9 };
      const later = relay.relay.reload({ ...config, limits }).restart.filter((key) => !restart.has(key));
      assert.deepEqual(later.sort(), ['limits.connections', 'limits.connectionsPerKey'], 'each by its full path');
      await waiting;
    } finally {
      await relay.stop();
    }
  });

  test('§9.59 a connection that waits for tokens can end', async () => {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: '1' });
    try {
      const client = await relay.client();
      client.sendFrame(Buffer.concat([Buffer.from('7f00010020', 'hex'), Buffer.alloc(65_568)]));
      client.ping(100).catch(() => undefined);
      await relay.until(() => relay.relay.counters.rateLimitWaits === 1, 'the ping waits');
      client.abort();
      await relay.until(() => relay.relay.sessionCount === 0, 'the session ends');
    } finally {
      await relay.stop();
    }
  });
});

suite('rate limit of a key', () => {
  const RATE = 200_000;
  const BURST = 65_568;

  /** Starts a relay with the limit; returns the payload bytes that it relays while `send` runs, which ends after about `seconds`. */
  async function relayed(
    send: (relay: TestRelay, target: Buffer, isOver: () => boolean) => Promise<void>,
  ): Promise<void> {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: `${RATE}` });
    try {
      const target = await relay.client();
      const startedAt = performance.now();
      await send(relay, target.publicKey, () => performance.now() - startedAt > 2000);
      const seconds = (performance.now() - startedAt) / 1000;
      const { bytesReceived, unknownFrames } = relay.relay.counters;
      const bytes = bytesReceived + unknownFrames * 5;
      assert.ok(bytes > BURST, `${bytes} bytes: it was tried`);
      assert.ok(bytes <= 1.1 * (BURST + RATE * seconds), `${bytes} bytes in ${seconds} s`);
    } finally {
      await relay.stop();
    }
  }

  const packets = (target: Buffer, count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => encodeFrame(FrameType.SendPacket, target, Buffer.alloc(1200))));

  test('many connections of one key have it together', async () => {
    await relayed(async (relay, target, isOver) => {
      const keys = generateNodeKeyPair();
      const clients = await Promise.all(Array.from({ length: 10 }, () => relay.client({ keys })));
      const blob = packets(target, 13);
      while (!isOver()) {
        for (const client of clients) client.sendFrame(blob);
        await setImmediate();
      }
    });
  });

  for (const isSame of [true, false]) {
    test(`connecting again for each burst, with ${isSame ? 'the same key' : 'new keys'}, is no way past it`, async () => {
      await relayed(async (relay, target, isOver) => {
        const kept = generateNodeKeyPair();
        const blob = packets(target, 50);
        while (!isOver()) {
          const client = await relay.client({ keys: isSame ? kept : generateNodeKeyPair() });
          client.sendFrame(blob);
          await relay.until(() => relay.relay.counters.connections === 2, 'the client is in');
          client.abort();
        }
      });
    });
  }

  test('frames without payload are charged for their headers', async () => {
    await relayed(async (relay, _target, isOver) => {
      const client = await relay.client();
      const blob = Buffer.concat(Array.from({ length: 5000 }, () => Buffer.from('2000000000', 'hex')));
      while (!isOver()) {
        client.sendFrame(blob);
        await setImmediate();
      }
    });
  });
});

suite('limits of the whole server', () => {
  test('connections beyond the limit are dropped before TLS and counted', async () => {
    const relay = await TestRelay.start({ TOWPATH_LIMITS_CONNECTIONS: '2' });
    try {
      await Promise.all([relay.client(), relay.client()]);
      // The reset may arrive before or after connect() has returned.
      await relay.tcp().then(untilClosed, (error: unknown) => assert.match(String(error), /ECONNRESET/));
      assert.equal(relay.relay.counters.refusals.connection_limit, 1);
    } finally {
      await relay.stop();
    }
  });

  test('KeepAlive frames come with a constant period, spread between connections', async () => {
    const relay = await TestRelay.start({ TOWPATH_LIMITS_KEEP_ALIVE_SECONDS: '5' });
    try {
      await relay.client();
      await relay.until(() => relay.relay.counters.keepAlivesSent >= 1, 'a keep-alive');
    } finally {
      await relay.stop();
    }
  });
});

suite('connections of one key', () => {
  test('beyond the limit the oldest is ended, counted and logged, and each of the others hears once that it is not alone', async () => {
    const relay = await TestRelay.start({ TOWPATH_LIMITS_CONNECTIONS_PER_KEY: '3' });
    try {
      const keys = generateNodeKeyPair();
      const ended: number[] = [];
      const told: string[] = [];
      const connect = (i: number): Promise<DerpClient> =>
        relay.client({ keys, handler: { closed: () => ended.push(i), health: (problem) => told.push(problem) } });
      const sender = await relay.client();
      let newest = await connect(0);
      for (let i = 1; i < 8; i++) newest = await connect(i);
      await newest.ping();
      await relay.until(() => ended.length === 5, 'the five oldest are ended');
      assert.deepEqual(ended, [0, 1, 2, 3, 4]);
      assert.equal(told.length, 8);
      const { counters } = relay.relay;
      assert.equal(counters.refusals.key_connections, 5);
      assert.deepEqual([counters.connections, counters.duplicateKeys, counters.duplicateConnections], [4, 1, 3]);
      assert.ok(relay.lines.some((line) => line.includes('key_connections')));
      const arrived = nextPacket(newest);
      sender.send(keys.publicKey, Buffer.from('for the newest'));
      await arrived;
    } finally {
      await relay.stop();
    }
  });
});

suite('draining', () => {
  test('clients are told to come back, then closed within the drain time, and the port is free', async () => {
    const relay = await TestRelay.start({
      TOWPATH_DRAIN_SECONDS: '1',
      TOWPATH_DRAIN_RECONNECT_MIN_MS: '40',
      TOWPATH_DRAIN_RECONNECT_MAX_MS: '60',
    });
    try {
      const clients = await Promise.all(Array.from({ length: 10 }, () => relay.client()));
      const told: number[] = [];
      const closed = clients.map(
        (client) =>
          new Promise<void>((resolve) => {
            client.handler = { restarting: (reconnectInMs) => told.push(reconnectInMs), closed: () => resolve() };
          }),
      );
      await within(relay.relay.drain(), 'the drain');
      await within(Promise.all(closed), 'all connections close');
      assert.equal(told.length, 10);
      assert.ok(told.every((ms) => ms >= 40 && ms <= 60));
      await assert.rejects(relay.tcp());
    } finally {
      await relay.stop();
    }
  });
});
