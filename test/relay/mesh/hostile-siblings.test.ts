import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { WATCH_CONNS_FRAME } from '../../../src/wire/mesh-frames.ts';
import { Attacked } from './attacked.ts';
import { forwardFrame } from './scripted-sibling.ts';

const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);

/** Sends frames as fast as the connection accepts them. */
async function sendAll(client: DerpClient, frames: readonly Buffer[]): Promise<void> {
  for (const frame of frames) while (client.isOpen && !client.sendFrame(frame)) await nextTurn();
  while (client.isOpen && client.pendingBytes > 0) await nextTurn();
}

suite('a connection with the mesh key that does wrong', { concurrency: 2 }, () => {
  test('it asks again and again who is here: it is told, and nobody else waits', async (t) => {
    const attacked = await Attacked.start(t);
    const others = await Promise.all(Array.from({ length: 100 }, () => attacked.region.client(attacked.relay)));
    const sibling = await attacked.sibling();
    const told = new Map<string, number>();
    sibling.handler = {
      peerPresent: (buffer, at) => {
        const key = buffer.toString('hex', at, at + 32);
        told.set(key, (told.get(key) ?? 0) + 1);
      },
    };
    await sendAll(
      sibling,
      Array.from({ length: 20_000 }, () => WATCH_CONNS_FRAME),
    );
    await sibling.ping(20_000);
    await attacked.until(() => told.size === others.length + 3, 'it is told of everyone');
    // A key is not announced once for each request.
    assert.ok(Math.max(...told.values()) < 5000, `told ${Math.max(...told.values())} times`);
    assert.equal(attacked.relay.relay.counters.watchers, 1);
    await attacked.stillServes();
    sibling.close();
    await attacked.until(() => attacked.relay.relay.counters.watchers === 0, 'it is watched no more');
  });

  test('a storm of ClosePeer ends what it names and nothing else', async (t) => {
    const attacked = await Attacked.start(t);
    const victim = await attacked.region.client(attacked.relay);
    const sibling = await attacked.sibling();
    const named = encodeFrame(FrameType.ClosePeer, victim.publicKey);
    const frames = Array.from({ length: 5000 }, (_, i) =>
      i % 2 === 0 ? named : encodeFrame(FrameType.ClosePeer, randomBytes(32)),
    );
    await sendAll(sibling, frames);
    await sibling.ping(20_000);
    await attacked.until(() => !victim.isOpen, 'the victim is closed');
    assert.deepEqual(
      attacked.relay.refusals.map(([reason]) => reason),
      ['close_peer'],
    );
    await attacked.stillServes();
  });

  test('packets in the name of invented and of local nodes, to nodes that are not here: no table grows', async (t) => {
    const attacked = await Attacked.start(t);
    const sibling = await attacked.sibling();
    const [a, b] = attacked.clients as [DerpClient, DerpClient];
    let answers = 0;
    sibling.handler = { peerGone: () => answers++ };
    const count = 5000;
    const frames = Array.from({ length: count }, () => [
      forwardFrame(randomBytes(32), randomBytes(32), DISCO),
      forwardFrame(randomBytes(32), a.publicKey, Buffer.from('invented')),
      forwardFrame(b.publicKey, randomBytes(32), Buffer.from('nobody')),
    ]).flat();
    await sendAll(sibling, frames);
    await sibling.ping(20_000);
    await attacked.until(() => attacked.received[0]!.packets.length === count, 'each packet arrives once');
    const { relay } = attacked.relay;
    assert.deepEqual([relay.counters.localKeys, relay.counters.remoteKeys], [3, 0]);
    assert.equal(relay.router.table.size, 3);
    assert.ok(answers > 0 && answers <= count);
    await attacked.stillServes();
    sibling.close();
    await attacked.leavesNothing();
  });

  test('it asks for answers and does not read them: what waits for it is bounded', async (t) => {
    const attacked = await Attacked.start(t);
    const sibling = await attacked.sibling();
    sibling.pause();
    const disco = forwardFrame(randomBytes(32), randomBytes(32), DISCO);
    const frames = Array.from({ length: 50_000 }, (_, i) => (i % 2 === 0 ? disco : WATCH_CONNS_FRAME));
    await sendAll(sibling, frames);
    const { relay } = attacked.relay;
    const session = (): number => Math.max(...relay.snapshot().sessions.map(({ queuedBytes }) => queuedBytes));
    await attacked.until(() => relay.counters.packetsForwardedIn === 25_000, 'all of it is read');
    assert.ok(session() < 200_000, `${session()} bytes wait`);
    await attacked.stillServes();
  });

  test('a packet without a source key, and one of a wrong length, end the connection', async (t) => {
    const attacked = await Attacked.start(t);
    const [a] = attacked.clients as [DerpClient];
    const wrong: readonly (readonly [string, Buffer])[] = [
      ['mesh_source', forwardFrame(Buffer.alloc(32), a.publicKey, Buffer.from('x'))],
      ['bad_frame_length', encodeFrame(FrameType.ForwardPacket, Buffer.alloc(63))],
      ['bad_frame_length', encodeFrame(FrameType.ForwardPacket, Buffer.alloc(65_601))],
      ['bad_frame_length', encodeFrame(FrameType.WatchConns, Buffer.alloc(1))],
    ];
    for (const [, frame] of wrong) {
      const sibling = await attacked.sibling();
      await sendAll(sibling, [frame]);
      await attacked.until(() => !sibling.isOpen, 'the connection ends');
    }
    assert.deepEqual(
      attacked.relay.refusals.map(([reason]) => reason),
      wrong.map(([reason]) => reason),
    );
    await attacked.stillServes();
  });
});
