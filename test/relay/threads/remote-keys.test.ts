/** Tests keys of other relays: the links are in one thread, and all threads must reach the keys. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { DropReason, PacketKind } from '../../../src/observe/counters.ts';
import { Delivery, type Forwarder, type NodeKey, type Source } from '../../../src/relay/routing/recipient.ts';
import type { Way } from '../../../src/relay/routing/remote-keys.ts';
import { RouteResult } from '../../../src/relay/routing/router.ts';
import { PeerGoneReason } from '../../../src/wire/frames.ts';
import { inWorld, texts, type World } from './support.ts';

const [A, B, C, R] = ['a', 'b', 'c', 'r'].map((name) => Buffer.alloc(32, name)) as [Buffer, Buffer, Buffer, Buffer];
const REMOTE = ['r', 's', 't'].map((name) => Buffer.alloc(32, name));

class RecordingLink implements Forwarder {
  readonly isUp = true;
  readonly delivered: string[] = [];

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number): Delivery {
    const first = (key: Buffer): string => key.toString('latin1', 0, 1);
    const proof = source.isProved ? '' : '?';
    this.delivered.push(
      `${first(source.key)}${proof}>${first(destination.key)} ${buffer.toString('latin1', from, to)}`,
    );
    return Delivery.Taken;
  }

  whenTaking(): void {}
}

/** Adds `key` to a link of the first thread. */
function lead(world: World, key: Buffer, link: Forwarder): Way {
  const { router } = world.threads[0]!;
  const way = router.remote.open(link);
  router.addForwarder(key, 0, way);
  return way;
}

/** Gives this thread a packet of `source`, a node of another relay. */
function forwarded(world: World, thread: number, source: Buffer, to: Buffer, text: string): RouteResult {
  const buffer = Buffer.concat([source, to, Buffer.from(text)]);
  return world.threads[thread]!.router.routeForwarded(buffer, 0, 64, buffer.length);
}

suite('keys of other relays in several threads', () => {
  test('each thread reaches a key that a link of the first one leads to, with both keys and in order', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      lead(world, R, link);
      const [a, b] = [world.connect(1, A), world.connect(2, B)];
      for (const text of ['one', 'two', 'x'.repeat(3000)]) assert.equal(a.send(R, text), RouteResult.Taken);
      await world.settle();
      assert.equal(b.send(R, 'three'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual(link.delivered, ['a>r one', 'a>r two', `a>r ${'x'.repeat(3000)}`, 'b>r three']);
      assert.deepEqual(
        world.threads.map(({ counters }) => [counters.remoteKeys, counters.localKeys]),
        [
          [1, 2],
          [1, 2],
          [1, 2],
        ],
      );
    }, 3));

  test('a packet from another relay reaches a client in whatever thread; it hears when the source has left', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      const { router } = world.threads[0]!;
      const way = lead(world, R, link);
      const clients = [A, B, C].map((key, thread) => world.connect(thread, key));
      await world.settle();
      for (const [key, text] of [
        [A, 'to the first'],
        [B, 'to the second'],
        [C, 'to the third'],
      ] as const) {
        assert.equal(forwarded(world, 1, R, key, text), RouteResult.Taken);
      }
      await world.settle();
      assert.deepEqual(clients.map(texts), [['to the first'], ['to the second'], ['to the third']]);
      router.removeForwarder(R, 0, way);
      await world.settle();
      for (const { gone } of clients) {
        assert.deepEqual(gone, [{ key: R.toString('hex'), reason: PeerGoneReason.Disconnected }]);
      }
      for (const client of clients) assert.equal(client.send(R, 'late'), RouteResult.Unknown);
      for (const { counters } of world.threads) assert.equal(counters.remoteKeys, 0);
    }, 3));

  test('packets that come before a thread has read who is where: they reach the client, and it hears that the source left', () =>
    inWorld(async (world) => {
      const { router } = world.threads[0]!;
      const a = world.connect(1, A);
      await world.settle();
      // The other thread has written both facts, and nobody has read them yet.
      const way = lead(world, R, new RecordingLink());
      const b = world.connect(0, B);
      assert.equal(forwarded(world, 1, R, A, 'first'), RouteResult.Taken);
      assert.equal(forwarded(world, 1, R, B, 'second'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual([texts(a), texts(b)], [['first'], ['second']]);
      router.removeForwarder(R, 0, way);
      await world.settle();
      for (const { gone } of [a, b])
        assert.deepEqual(gone, [{ key: R.toString('hex'), reason: PeerGoneReason.Disconnected }]);
      // Invented keys are not remembered.
      assert.equal(forwarded(world, 1, C, A, 'invented'), RouteResult.Taken);
      assert.equal(world.threads[1]!.router.table.named(C), null);
    }));

  test('a client that has just connected to another thread gets what another relay sends it at once', () =>
    inWorld(async (world) => {
      await world.settle();
      const b = world.connect(0, B);
      assert.equal(forwarded(world, 1, R, B, 'hello'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual(texts(b), ['hello']);
    }));

  test('a client that comes from another relay to a thread of this one does not count as gone in any thread', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      const { router } = world.threads[0]!;
      const way = lead(world, R, link);
      const clients = [A, B, C].map((key, thread) => world.connect(thread, key));
      await world.settle();
      for (const key of [A, B, C]) forwarded(world, 2, R, key, 'hello');
      await world.settle();
      // Each thread may be the first that reads that the other relay does not have it any more.
      const moved = world.connect(1, R);
      router.removeForwarder(R, 0, way);
      await world.settle();
      for (const { gone } of clients) assert.deepEqual(gone, []);
      for (const client of clients) assert.equal(client.send(R, 'welcome'), RouteResult.Taken);
      await world.settle();
      assert.equal(texts(moved).length, 3);
    }, 3));

  test('a key that is here and elsewhere: this relay delivers to its own connection, and to the link after it', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      lead(world, R, link);
      const [a, here] = [world.connect(1, A), world.connect(1, R)];
      await world.settle();
      a.send(R, 'here');
      here.close();
      assert.equal(a.send(R, 'there'), RouteResult.Taken);
      await world.settle();
      assert.deepEqual([texts(here), link.delivered], [['here'], ['a>r there']]);
    }));

  test('a packet whose key has left while it was on its way is counted as dropped', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      const { router, counters } = world.threads[0]!;
      const way = lead(world, R, link);
      const a = world.connect(1, A);
      await world.settle();
      a.send(R, 'too late');
      router.removeForwarder(R, 0, way);
      await world.settle();
      assert.deepEqual(link.delivered, []);
      assert.equal(counters.dropPackets[DropReason.GoneDisconnected]![PacketKind.Other], 1);
    }));

  test('a full ring holds who sends to another relay, and loses and repeats nothing', () =>
    inWorld(async (world) => {
      const link = new RecordingLink();
      lead(world, R, link);
      const a = world.connect(1, A);
      await world.settle();
      const sent: string[] = [];
      const sender = {
        sendMore: () => {
          while (sent.length < 400) {
            const text = `${sent.length} `.padEnd(4000, '.');
            if (a.send(R, text) === RouteResult.Full) {
              world.threads[1]!.router.whenTaking(sender, R, 0);
              return;
            }
            sent.push(`a>r ${text}`);
          }
        },
      };
      sender.sendMore();
      assert.ok(sent.length < 260, `${sent.length} packets of 4000 bytes found room`);
      for (let i = 0; i < 50 && link.delivered.length < 400; i++) await world.settle();
      assert.deepEqual(link.delivered, sent);
    }));

  test('a thread that starts learns of more keys than the ring has room for; one that ends takes its links along', () =>
    inWorld(async (world) => {
      const [first, second] = world.threads as [World['threads'][number], World['threads'][number]];
      const link = new RecordingLink();
      second.links.detach(0);
      first.links.detach(1);
      const key = (number: number): Buffer => {
        const bytes = Buffer.alloc(32, 'k');
        bytes.writeUInt32LE(number);
        return bytes;
      };
      const count = 30_000;
      const [way, other] = [first.router.remote.open(link), first.router.remote.open(link)];
      for (let number = 0; number < count; number++) first.router.addForwarder(key(number), 0, way);
      // Some keys have several links.
      for (let number = 0; number < count; number += 2) first.router.addForwarder(key(number), 0, other);
      world.join(0, 1);
      // While they wait, some keys join and leave.
      for (let number = count - 100; number < count; number++) {
        first.router.removeForwarder(key(number), 0, way);
        first.router.removeForwarder(key(number), 0, other);
      }
      for (let i = 0; i < 20; i++) await world.settle();
      assert.equal(second.counters.remoteKeys, count - 100);
      const a = world.connect(1, A);
      assert.equal(a.send(key(0), 'x'), RouteResult.Taken);
      assert.equal(a.send(key(count - 1), 'x'), RouteResult.Unknown);
      second.links.detach(0);
      assert.equal(second.counters.remoteKeys, 0);
    }));

  const steps = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ remove: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ connect: fc.integer({ min: 0, max: 2 }), thread: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ close: fc.nat() }),
      fc.record({ read: fc.integer({ min: 0, max: 2 }) }),
    ),
    { maxLength: 40 },
  );

  test('whatever comes and goes here and elsewhere, all threads agree on where each key is', () =>
    fc.assert(
      fc.asyncProperty(steps, (list) =>
        inWorld(async (world) => {
          const { router } = world.threads[0]!;
          const way = router.remote.open(new RecordingLink());
          const remote = new Set<Buffer>();
          let open: ReturnType<World['connect']>[] = [];
          for (const step of list) {
            open = open.filter(({ isOpen }) => isOpen);
            if ('add' in step) {
              router.addForwarder(REMOTE[step.add]!, 0, way);
              remote.add(REMOTE[step.add]!);
            } else if ('remove' in step) {
              const key = REMOTE[step.remove]!;
              if (remote.delete(key)) router.removeForwarder(key, 0, way);
            } else if ('connect' in step) open.push(world.connect(step.thread, REMOTE[step.connect]!));
            else if ('close' in step) open[step.close % open.length]?.close();
            else world.threads[step.read]!.links.woken();
          }
          await world.settle();
          open = open.filter(({ isOpen }) => isOpen);
          for (const key of REMOTE) {
            const held = open.filter(({ peer }) => peer.key.equals(key)).length;
            for (const { router: its } of world.threads) {
              assert.deepEqual(
                [its.table.named(key)?.size ?? 0, its.remote.has(key), its.knows(key)],
                [held, remote.has(key), held > 0 || remote.has(key)],
              );
            }
          }
          for (const { counters } of world.threads) {
            const isHere = (key: Buffer): boolean => open.some(({ peer }) => peer.key.equals(key));
            assert.equal(counters.remoteKeys, [...remote].filter((key) => !isHere(key)).length);
          }
        }, 3),
      ),
      { numRuns: 80 },
    ));
});
