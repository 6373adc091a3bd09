import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { DropReason, PacketKind } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import { RouteResult } from '../../../src/relay/routing/router.ts';
import { SharedOrder } from '../../../src/relay/threads/shared-order.ts';
import { RingReader, RingWriter } from '../../../src/relay/threads/ring.ts';
import { createChannels, RecordKind } from '../../../src/relay/threads/thread-link.ts';
import { PeerGoneReason } from '../../../src/wire/frames.ts';
import { Connection, inWorld, texts, Thread, type World } from './support.ts';

const keys = ['a', 'b', 'c', 'd'].map((name) => Buffer.alloc(32, name));
const [A, B] = keys as [Buffer, Buffer];

suite('connections in several threads', () => {
  test('a packet reaches a key of another thread at once after it has entered, with both keys and in order', () =>
    inWorld(async (world) => {
      const b = world.connect(1, B);
      const a = world.connect(0, A);
      for (const text of ['one', 'two', 'three']) assert.equal(a.send(B, text), RouteResult.Taken);
      assert.deepEqual(texts(b), []);
      await world.settle();
      const [from, to] = [A.toString('hex'), B.toString('hex')];
      assert.deepEqual(
        b.delivered,
        ['one', 'two', 'three'].map((text) => [from, to, text]),
      );
      assert.equal(world.threads[0]!.counters.packetsReceived, 3);
      assert.equal(world.threads[1]!.counters.packetsReceived, 0);
    }));

  test('who had packets hears that the sender has left, behind its last packet', () =>
    inWorld(async (world) => {
      const [a, b] = [world.connect(0, A), world.connect(1, B)];
      await world.settle();
      a.send(B, 'last');
      a.close();
      await world.settle();
      assert.deepEqual(texts(b), ['last']);
      assert.deepEqual(b.gone, [{ key: A.toString('hex'), reason: PeerGoneReason.Disconnected }]);
      assert.equal(b.send(A, 'late'), RouteResult.Unknown);
      assert.deepEqual(
        world.threads.map(({ counters }) => counters.localKeys),
        [1, 1],
      );
    }));

  test('a key that goes from one thread to another does not count as gone', () =>
    inWorld(async (world) => {
      const [first, c] = [world.connect(0, A), world.connect(2, B)];
      await world.settle();
      first.send(B, 'from the first');
      await world.settle();
      const second = world.connect(1, A);
      first.close();
      // The thread of the receiver first reads the ring in which the key leaves.
      await world.settle();
      assert.deepEqual(c.gone, []);
      assert.equal(c.send(A, 'to the second'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual(texts(second), ['to the second']);
    }, 3));

  test('a connection that leaves while another thread has a new one of the key: the third one stays a duplicate', () =>
    inWorld(async (world) => {
      const [first, second] = [world.connect(0, A), world.connect(0, A)];
      await world.settle();
      const before = first.healthTexts.length;
      world.connect(1, A);
      // The thread of the two has not read yet that a third one has joined.
      second.close();
      await world.settle();
      assert.ok(!first.healthTexts.slice(before).includes(''), 'it does not hear that it is alone');
    }));

  test('duplicates: all hear of it, who spoke last gets the packets, and the rest hears when it is alone again', () =>
    inWorld(async (world) => {
      const [one, two, b] = [world.connect(0, A), world.connect(1, A), world.connect(1, B)];
      await world.settle();
      assert.deepEqual([one.healthTexts.length, two.healthTexts.length], [1, 1]);
      b.send(A, 'to the newest');
      one.send(B, 'now I');
      await world.settle();
      b.send(A, 'to the last writer');
      await world.settle();
      assert.deepEqual([texts(one), texts(two)], [['to the last writer'], ['to the newest']]);
      const gauges = world.threads.map(({ counters }) => [counters.duplicateKeys, counters.duplicateConnections]);
      assert.deepEqual(gauges, [
        [1, 2],
        [1, 2],
      ]);
      two.close();
      await world.settle();
      assert.deepEqual(one.healthTexts.at(-1), '');
    }));

  test('duplicates that speak in turns are disabled everywhere, until one remains', () =>
    inWorld(
      async (world) => {
        const [one, two, b] = [world.connect(0, A), world.connect(1, A), world.connect(0, B)];
        await world.settle();
        for (const speaker of [two, one, two]) {
          speaker.send(B, '');
          await world.settle();
        }
        assert.equal(b.send(A, 'x'), RouteResult.AllDisabled);
        assert.equal(two.send(A, 'x'), RouteResult.AllDisabled);
        one.close();
        await world.settle();
        assert.equal(b.send(A, 'x'), RouteResult.Taken);
      },
      2,
      DuplicatePolicy.DisableFighters,
    ));

  test('duplicates fight although one thread heard late of a third connection that has left', () =>
    inWorld(
      async (world) => {
        const one = world.connect(0, A);
        const third = world.connect(0, A);
        await world.settle();
        third.close();
        // The other thread does not know yet that it has left.
        const two = world.connect(1, A);
        await world.settle();
        for (const speaker of [two, one, two]) {
          speaker.send(B, '');
          await world.settle();
        }
        assert.deepEqual([one.send(A, 'x'), two.send(A, 'x')], [RouteResult.AllDisabled, RouteResult.AllDisabled]);
      },
      2,
      DuplicatePolicy.DisableFighters,
    ));

  test('a key has so many connections and no more in all threads: the oldest is ended, wherever it is', () =>
    inWorld(async (world) => {
      const four = [0, 1, 2, 1].map((thread) => world.connect(thread, A));
      await world.settle();
      assert.deepEqual(
        four.map(({ isOpen }) => isOpen),
        [false, true, true, true],
      );
    }, 3));

  test('connections of a key that come to many threads at once: the newest stay, and no more than may be', () =>
    inWorld(async (world) => {
      const [key] = keys as [Buffer];
      const all = Array.from({ length: 16 }, (_, n) => world.connect(n % 8, key));
      await world.settle();
      assert.deepEqual(
        all.map(({ isOpen }) => isOpen),
        all.map((_, n) => n >= 13),
      );
      for (const { router } of world.threads) assert.equal(router.table.named(key)!.size, 3);
    }, 8));

  test('a full ring holds the sender, and loses and repeats nothing', () =>
    inWorld(async (world) => {
      const [a, b] = [world.connect(0, A), world.connect(1, B)];
      await world.settle();
      const sent: string[] = [];
      let waits = 0;
      const sender = {
        sendMore: () => {
          waits--;
          while (sent.length < 400) {
            const text = `${sent.length} `.padEnd(4000, '.');
            const result = a.send(B, text);
            if (result === RouteResult.Full) {
              waits++;
              world.threads[0]!.router.whenTaking(sender, B, 0);
              return;
            }
            assert.equal(result, RouteResult.Taken);
            sent.push(text);
          }
        },
      };
      waits++;
      sender.sendMore();
      assert.ok(waits === 1 && sent.length < 260, `${sent.length} packets of 4000 bytes found room`);
      // Keys join and leave while packets find no room.
      const c = world.connect(0, keys[2]!);
      await world.settle();
      assert.equal(b.send(keys[2]!, 'hello'), RouteResult.Taken);
      for (let i = 0; i < 50; i++) await world.settle();
      assert.equal(waits, 0);
      assert.deepEqual(texts(b), sent);
      assert.deepEqual(texts(c), ['hello']);
    }));

  test('a sender that is woken before there is enough room waits on, and is woken again', async () => {
    const memory = SharedOrder.createMemory();
    const thread = new Thread(memory, DuplicatePolicy.LastWriter);
    const [mine, its] = createChannels();
    thread.links.attach(1, mine);
    const [reader, writer] = [new RingReader(its.incoming), new RingWriter(its.outgoing)];
    let wakes = 0;
    its.port.on('message', () => undefined);
    const read = (bytes: number): void => {
      reader.read({ record: () => undefined }, bytes);
      if (!reader.takeWaiting()) return;
      wakes++;
      thread.links.woken();
    };
    try {
      const words = Int32Array.from({ length: 8 }, (_, i) => B.readInt32LE(i * 4));
      const payload = Buffer.from(JSON.stringify({ ip: '', port: 0, flags: 0, app: '' }));
      writer.control({ kind: RecordKind.Joined, connection: 1, detail: -1, event: 1, key: words, payload });
      writer.publish();
      thread.links.woken();
      const a = new Connection(thread, A, 'a');
      while (a.send(B, 'x'.repeat(4000)) !== RouteResult.Full);
      let resumed = 0;
      thread.router.whenTaking({ sendMore: () => resumed++ }, B, 0);
      for (let i = 0; i < 100 && resumed === 0; i++) {
        read(50_000);
        await nextTurn();
      }
      assert.equal(resumed, 1);
      assert.ok(wakes > 1, 'the first wake came too early');
    } finally {
      thread.links.close();
      its.port.close();
    }
  });

  test('a connection that leaves while a packet is on its way: the packet is counted as dropped', () =>
    inWorld(async (world) => {
      const [a, b] = [world.connect(0, A), world.connect(1, B)];
      await world.settle();
      a.send(B, 'x');
      b.close();
      await world.settle();
      assert.equal(world.threads[1]!.counters.dropPackets[DropReason.GoneDisconnected]![PacketKind.Other], 1);
    }));

  test('a thread that has ended takes its keys along, and one that starts learns of all', () =>
    inWorld(async (world) => {
      const [a, b] = [world.connect(0, A), world.connect(1, B)];
      await world.settle();
      a.send(B, 'x');
      await world.settle();
      world.threads[1]!.links.detach(0);
      await world.settle();
      assert.deepEqual(b.gone, [{ key: A.toString('hex'), reason: PeerGoneReason.Disconnected }]);
      assert.equal(b.send(A, 'x'), RouteResult.Unknown);
      world.join(0, 1);
      await world.settle();
      assert.equal(b.send(A, 'again'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual(texts(a), ['again']);
      assert.equal(world.threads[1]!.links.remoteConnections, 1);
    }));

  test('senders that wait for a thread that ends go on', () =>
    inWorld(async (world) => {
      const [a] = [world.connect(0, A), world.connect(1, B)];
      await world.settle();
      while (a.send(B, 'x'.repeat(60_000)) !== RouteResult.Full);
      let result: RouteResult | null = null;
      world.threads[0]!.router.whenTaking({ sendMore: () => (result = a.send(B, 'x')) }, B, 0);
      world.threads[0]!.links.detach(1);
      assert.equal(result, RouteResult.Unknown);
    }));

  test('whatever comes and leaves in three threads, in whatever order they hear of it: all agree on who is there', () =>
    fc.assert(
      fc.asyncProperty(steps, (list) =>
        inWorld(async (world) => {
          const open = await play(world, list, false);
          agree(world, open);
          const counts = world.threads.map(({ counters }) => [
            counters.localKeys,
            counters.duplicateKeys,
            counters.duplicateConnections,
          ]);
          assert.equal(counts[0]![0], new Set(open.map(({ peer }) => peer.key.toString('hex'))).size);
          assert.deepEqual(counts[1], counts[0]);
          assert.deepEqual(counts[2], counts[0]);
        }, 3),
      ),
      { numRuns: 60 },
    ));

  for (const policy of [DuplicatePolicy.LastWriter, DuplicatePolicy.DisableFighters]) {
    test(`${policy}: all threads agree on which connection of a key gets the packets`, () =>
      fc.assert(
        fc.asyncProperty(steps, (list) =>
          inWorld(
            async (world) => {
              const open = await play(world, list, true);
              agree(world, open);
              const probes = world.threads.map(
                (thread, i) => new Connection(thread, Buffer.alloc(32, `${i}`), 'probe'),
              );
              await world.settle();
              for (const key of keys) {
                for (const connection of open) connection.delivered.length = 0;
                const results = new Set(probes.map((probe) => probe.send(key, 'probe')));
                await world.settle();
                assert.equal(results.size, 1);
                const counts = open.map(({ delivered }) => delivered.length).filter((count) => count > 0);
                assert.deepEqual(counts, results.has(RouteResult.Taken) ? [3] : []);
              }
            },
            3,
            policy,
          ),
        ),
        { numRuns: 40 },
      ));
  }
});

const steps = fc.array(
  fc.oneof(
    fc.record({ connect: fc.integer({ min: 0, max: 2 }), key: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ close: fc.nat() }),
    fc.record({ speak: fc.nat(), to: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ read: fc.integer({ min: 0, max: 2 }) }),
  ),
  { maxLength: 50 },
);

/** Returns the connections that are open at the end. With `settles`, all threads read each step before the next one. */
async function play(
  world: World,
  list: typeof steps extends fc.Arbitrary<infer Steps> ? Steps : never,
  settles: boolean,
): Promise<Connection[]> {
  let open: Connection[] = [];
  for (const [index, action] of list.entries()) {
    open = open.filter(({ isOpen }) => isOpen);
    const one = (at: number): Connection | undefined => open[at % open.length];
    if ('connect' in action) open.push(world.connect(action.connect, keys[action.key]!, `${index}`));
    else if ('close' in action) one(action.close)?.close();
    else if ('read' in action) world.threads[action.read]!.links.woken();
    else one(action.speak)?.send(keys[action.to]!, `${index}`);
    if (settles) await world.settle();
  }
  await world.settle();
  return open.filter(({ isOpen }) => isOpen);
}

function agree(world: World, open: readonly Connection[]): void {
  for (const key of keys) {
    const held = open.filter(({ peer }) => peer.key.equals(key)).length;
    const seen = world.threads.map(({ router }) => router.table.named(key)?.size ?? 0);
    assert.deepEqual(seen, [held, held, held]);
  }
}
