/** Tests two relays of a region, each with two threads, over real sockets. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { encodeFrame, FrameType, KEY_BYTES } from '../../../src/wire/frames.ts';
import { WATCH_CONNS_FRAME } from '../../../src/wire/mesh-frames.ts';
import { nextPacket, within } from '../support.ts';
import { PATIENCE_MS, TwoThreads } from './support.ts';

const SENT = 2000;
const MESH_KEY = Buffer.alloc(32, 0x5a);
/** With this setting, all packets of a test fit into the queues, even on a busy machine. */
const ROOMY = {
  TOWPATH_LIMITS_QUEUE_BYTES: '16777216',
  TOWPATH_LIMITS_QUEUE_MS: '60000',
  TOWPATH_MESH_QUEUE_BYTES: '67108864',
};

/** Checks that a packet of `from` reaches `to`, at any relay and thread. */
async function passes(from: DerpClient, to: DerpClient, text: string): Promise<void> {
  const next = nextPacket(to);
  from.send(to.publicKey, Buffer.from(text));
  const { source, packet } = await next;
  assert.deepEqual([source, packet.toString()], [from.publicKey, text]);
}

suite('two meshed relays of two threads each', { timeout: 180_000 }, () => {
  let folder: string;
  let keyFile: string;
  let relays: readonly [TwoThreads, TwoThreads];
  /** Reads the configuration of each relay again. */
  const reloads: (() => unknown)[] = [];

  const links = (relay: TwoThreads): string[] => relay.test.relay.api.mesh().links.map(({ state }) => state);
  const meshed = (): Promise<void> =>
    relays[0].until(
      () => relays.every((relay) => links(relay).join() === 'open'),
      'each relay has an open link to the other',
    );
  /** Waits until each relay knows `keys` in total: its own and those of the other relay. */
  const known = (own: number, ofOther: number): Promise<void> =>
    relays[0].until(
      () =>
        relays.every(({ test: { relay } }) => {
          const { localKeys, remoteKeys } = relay.ownCounters;
          return localKeys >= own && remoteKeys >= ofOther;
        }),
      'the relays know all clients',
    );
  const four = async (): Promise<[DerpClient, DerpClient, DerpClient, DerpClient]> => {
    const [one, other] = relays;
    const clients = [await one.client(0), await one.client(1), await other.client(0), await other.client(1)] as const;
    // The link of the other relay is a connection with its own key.
    await known(3, 2);
    return [...clients];
  };
  const leave = async (...clients: DerpClient[]): Promise<void> => {
    for (const client of clients) client.close();
    await relays[0].until(
      () => relays.every(({ test: { relay } }) => relay.ownCounters.remoteKeys === 0),
      'both relays know that all have left',
    );
  };

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'towpath-mesh-threads-'));
    keyFile = path.join(folder, 'mesh.key');
    writeFileSync(keyFile, `${MESH_KEY.toString('hex')}\n`, { mode: 0o600 });
    const start = (): Promise<TwoThreads> => TwoThreads.start({ ...ROOMY, TOWPATH_MESH_KEY_FILE: keyFile });
    relays = [await start(), await start()];
    for (const [relay, other] of [relays, relays.toReversed()] as [TwoThreads, TwoThreads][]) {
      const { relay: service, port } = other.test;
      const entry = `127.0.0.1:${port}#sha256-raw:${service.certificate.info().pinSha256}`;
      const { config } = relay.test;
      const meshConfig = { ...config, mesh: { ...config.mesh, with: [entry] } };
      reloads.push(() => relay.test.relay.reload(meshConfig));
    }
    for (const reload of reloads) reload();
    await meshed();
  });
  after(async () => {
    for (const relay of relays) await relay.stop();
    rmSync(folder, { recursive: true });
  });

  test('every client reaches every other one, whichever relay and thread it is in', async () => {
    const clients = await four();
    for (const from of clients) for (const to of clients) if (from !== to) await passes(from, to, 'hello');
    const { counters } = relays[0].test.relay;
    await relays[0].until(
      () => counters.packetsForwardedOut === 4 && counters.packetsForwardedIn === 4,
      'what went to the other relay is counted once',
    );
    await leave(...clients);
  });

  test('many packets both ways between the relays arrive in order, each once', async () => {
    const clients = await four();
    const [a0, a1, b0, b1] = clients;
    const pairs = [
      [a1, b1],
      [b1, a1],
      [a0, b0],
    ] as const;
    const received = pairs.map(([from, to]) => {
      const numbers: number[] = [];
      const all = new Promise<void>((resolve) => {
        to.handler = {
          packet: (source, buffer, at) => {
            assert.deepEqual(source, from.publicKey);
            if (numbers.push(buffer.readUInt32BE(at)) === SENT) resolve();
          },
        };
      });
      return { numbers, all };
    });
    for (let number = 0; number < SENT; number++) {
      const packet = Buffer.alloc(1000);
      packet.writeUInt32BE(number);
      for (const [from, to] of pairs) {
        while (!from.send(to.publicKey, packet)) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await within(Promise.all(received.map(({ all }) => all)), 'all packets', PATIENCE_MS);
    const expected = Array.from({ length: SENT }, (_, number) => number);
    for (const { numbers } of received) assert.deepEqual(numbers, expected);
    await leave(...clients);
  });

  test('who watches a relay hears once of each client of all of its threads, and once when it has left', async () => {
    const [one] = relays;
    const clients = await four();
    for (const thread of [0, 1]) {
      const told: string[] = [];
      const watcher = await one.client(thread, {
        info: { meshKey: MESH_KEY },
        handler: {
          peerPresent: (buffer, from) => told.push(`+${buffer.toString('hex', from, from + KEY_BYTES)}`),
          peerGone: (key) => told.push(`-${key.toString('hex')}`),
        },
      });
      watcher.sendFrame(WATCH_CONNS_FRAME);
      const [a0, a1] = clients;
      const names = [a0, a1].map(({ publicKey }) => publicKey.toString('hex'));
      await one.until(() => names.every((name) => told.includes(`+${name}`)), 'it hears of both clients');
      const late = await Promise.all([0, 1].map((index) => one.client(index)));
      const lateNames = late.map(({ publicKey }) => publicKey.toString('hex'));
      await one.until(() => lateNames.every((name) => told.includes(`+${name}`)), 'it hears of later ones');
      for (const client of late) client.close();
      await one.until(() => lateNames.every((name) => told.includes(`-${name}`)), 'it hears that they have left');
      for (const name of [...names, ...lateNames]) {
        assert.equal(told.filter((text) => text === `+${name}`).length, 1);
      }
      for (const { publicKey } of clients.slice(2)) {
        assert.ok(!told.includes(`+${publicKey.toString('hex')}`), 'clients of the other relay are not told of');
      }
      watcher.close();
    }
    await leave(...clients);
  });

  test('another relay ends a client in whatever thread (ClosePeer)', async () => {
    const [one] = relays;
    const sibling = await one.client(0, { info: { meshKey: MESH_KEY } });
    for (const thread of [0, 1]) {
      const client = await one.client(thread);
      const { counters } = one.test.relay;
      const before = counters.refusals.close_peer;
      sibling.sendFrame(encodeFrame(FrameType.ClosePeer, client.publicKey));
      await one.until(() => !client.isOpen, 'it is ended');
      await one.until(() => counters.refusals.close_peer === before + 1, 'it is counted');
    }
    await leave(sibling);
  });

  test('a thread that dies: its clients count as gone at the other relay, and only these; then all is as before', async () => {
    const [one] = relays;
    const [a0, a1, b0, b1] = await four();
    for (const to of [b0, b1]) for (const from of [a0, a1]) await passes(from, to, 'so that it is missed');
    const gone: string[] = [];
    for (const client of [b0, b1]) {
      client.handler = { ...client.handler, peerGone: (key) => gone.push(key.toString('hex')) };
    }
    const restarted = (): boolean => one.test.lines.some((line) => line.includes('runs again'));
    await one.test.relay.threads!.kill(1);
    await one.until(() => gone.length === 2, 'both clients of the other relay hear of it');
    assert.deepEqual(new Set(gone), new Set([a1.publicKey.toString('hex')]));
    await one.until(restarted, 'the thread runs again');
    await meshed();
    const back = await one.client(1);
    await relays[1].until(() => relays[1].test.relay.ownCounters.remoteKeys === 2, 'the other relay knows it');
    const clients = [a0, back, b0, b1];
    for (const from of clients) for (const to of clients) if (from !== to) await passes(from, to, 'again');
    assert.equal(gone.length, 2);
    await leave(...clients);
  });

  test('a change of the mesh key reaches each thread', async () => {
    const [one] = relays;
    const next = Buffer.alloc(32, 0x6b);
    const reload = (...keys: Buffer[]): void => {
      writeFileSync(keyFile, keys.map((key) => `${key.toString('hex')}\n`).join(''));
      for (const again of reloads) again();
    };
    const siblings = [
      await one.client(0, { info: { meshKey: MESH_KEY } }),
      await one.client(1, { info: { meshKey: MESH_KEY } }),
    ];
    reload(next, MESH_KEY);
    const clients = await four();
    for (const from of clients) for (const to of clients) if (from !== to) await passes(from, to, 'both keys');
    assert.ok(siblings.every(({ isOpen }) => isOpen));
    reload(next);
    await one.until(() => siblings.every(({ isOpen }) => !isOpen), 'who came with the old key is ended');
    await meshed();
    await leave(...clients);
  });
});
