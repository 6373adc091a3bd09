import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AdmissionVerdict } from '../../../src/relay/session/admission.ts';
import { FrameType } from '../../../src/wire/frames.ts';
import { sendPacket, SessionWorld } from './support.ts';

const TICK_MS = 100;

/** Advances the clock by `ms` in ticks, and writes the queued frames after each. */
async function pass(world: SessionWorld, ms: number, stepMs = TICK_MS): Promise<void> {
  for (const until = world.clock.now + ms; world.clock.now < until;) {
    world.clock.tick(Math.min(until, world.clock.now + stepMs));
    await nextTurn();
  }
}

function count(frames: readonly { readonly type: number }[], type: number): number {
  return frames.filter((frame) => frame.type === type).length;
}

suite('all sessions', () => {
  test('a client that is not open in time is ended, and one that is stays', async () => {
    const world = new SessionWorld();
    const { stream: silent } = world.connect();
    const { stream: open } = world.open();
    await pass(world, 9_900);
    assert.equal(silent.end, null);
    await pass(world, 200);
    assert.deepEqual(world.refusals, [['handshake_timeout', '']]);
    assert.deepEqual([silent.end, open.end], ['finish', null]);
    silent.close();
    assert.equal(world.sessions.count, 1);
  });

  test('each open session gets a KeepAlive per period and jitter', async () => {
    const world = new SessionWorld();
    const streams = [1, 2, 3].map(() => world.open().stream);
    await pass(world, 59_000, 500);
    for (const stream of streams) assert.equal(count(stream.frames(), FrameType.KeepAlive), 0);
    await pass(world, 7_000, 500);
    for (const stream of streams) assert.equal(count(stream.frames(), FrameType.KeepAlive), 1);
    await pass(world, 66_000, 500);
    for (const stream of streams) assert.equal(count(stream.frames(), FrameType.KeepAlive), 1);
    assert.equal(world.counters.keepAlivesSent, 6);
  });

  test('a client that takes nothing loses what is old, and then its connection', async () => {
    const world = new SessionWorld();
    const { stream: sender } = world.open();
    const { stream, key } = world.open();
    await nextTurn();
    stream.frames();
    stream.room = 0;
    sender.feed(sendPacket(key, Buffer.alloc(100)));
    await pass(world, 3_000);
    const [, receiver] = [...world.sessions.snapshots()];
    assert.deepEqual([receiver!.drops['queue_head'], receiver!.queuedBytes], [1, 0]);
    sender.feed(sendPacket(key, Buffer.alloc(100)));
    await pass(world, 300_000, 1000);
    assert.equal(stream.end, 'abort');
    assert.equal(world.refusals[0]![0], 'write_timeout');
    assert.equal(world.counters.writeTimeouts, 1);
  });

  test('a client that is slow for a while is offered little, and everything again later', async () => {
    const world = new SessionWorld();
    const { stream: sender } = world.open();
    const { stream, key } = world.open();
    await nextTurn();
    stream.room = 100;
    for (let i = 0; i < 3; i++) sender.feed(sendPacket(key, Buffer.alloc(1000, i)));
    await pass(world, 500);
    stream.room = Infinity;
    stream.handler.writable(stream);
    await pass(world, 2000);
    assert.equal(count(stream.frames(), FrameType.RecvPacket), 3);
    sender.feed(sendPacket(key, Buffer.alloc(60_000)));
    await nextTurn();
    assert.equal(stream.largestWrite, 60_037);
  });

  test('a snapshot says what a session is and counts its own packets', async () => {
    const world = new SessionWorld({ admission: { admit: () => ({ admitted: true, source: 'owners' }) } });
    const a = world.open();
    const b = world.open();
    a.stream.feed(sendPacket(b.key, Buffer.alloc(10)));
    a.stream.feed(sendPacket(b.key, Buffer.alloc(20)));
    a.stream.feed(sendPacket(Buffer.alloc(32, 9), Buffer.alloc(5)));
    b.stream.feed(Buffer.from('070000000101', 'hex'));
    await pass(world, 1000);
    const [one, two] = structuredClone([...world.sessions.snapshots()]);
    assert.deepEqual(
      { ...one, ageMs: Math.round(one!.ageMs / 1000) },
      {
        key: a.key.toString('hex'),
        isOpen: true,
        ip: '192.0.2.1',
        port: 1,
        isBehindProxy: false,
        isWebSocket: false,
        ageMs: 1,
        app: '',
        admittedBy: 'owners',
        tier: '',
        number: 1,
        isHome: false,
        isMesh: false,
        isDuplicate: false,
        queuedBytes: 0,
        receivedPackets: 3,
        receivedBytes: 35,
        sentPackets: 0,
        sentBytes: 0,
        drops: { unknown_dest: 1, dup_client: 0, gone_disconnected: 0, queue_head: 0 },
      },
    );
    assert.deepEqual([two!.sentPackets, two!.sentBytes, two!.receivedPackets, two!.isHome], [2, 30, 0, true]);
  });

  test('a review asks about each open one, ends those that may not stay, and outlives what throws', async () => {
    const world = new SessionWorld();
    const open = Array.from({ length: 40 }, () => world.open());
    world.connect();
    const refused: AdmissionVerdict = { admitted: false, source: 'keys', reason: 'removed' };
    const asked: string[] = [];
    const failures: unknown[] = [];
    await world.sessions.review(
      (key) => {
        asked.push(key.toString('hex'));
        if (asked.length === 3) throw new Error('a bug');
        return asked.length % 2 === 0 ? Promise.resolve(refused) : { admitted: true };
      },
      (error) => failures.push(error),
    );
    assert.deepEqual(new Set(asked), new Set(open.map(({ key }) => key.toString('hex'))));
    assert.equal(failures.length, 1);
    assert.equal(open.filter(({ stream }) => stream.end === 'finish').length, 20);
    assert.deepEqual(world.refusals[0], ['not_admitted', 'keys: removed']);
  });

  test('a drain tells all of them and ends them within its time', async () => {
    const world = new SessionWorld();
    const streams = Array.from({ length: 10 }, () => world.open().stream);
    const drained = world.sessions.drain({ ...PLAN, seconds: 0 });
    await nextTurn();
    for (const stream of streams) {
      const restarting = stream.frames().find(({ type }) => type === FrameType.Restarting);
      const reconnectInMs = restarting!.payload.readUInt32BE(0);
      assert.ok(reconnectInMs >= 100 && reconnectInMs <= 200);
    }
    await pass(world, 200);
    await drained;
    assert.ok(streams.every(({ end }) => end === 'finish'));
  });

  test('a drain takes no longer than its connections need', async () => {
    const world = new SessionWorld();
    const streams = Array.from({ length: 10 }, () => world.open().stream);
    const ended = (): number => streams.filter(({ end }) => end === 'finish').length;
    // A drain begins at the real time, which the clock of the test has not followed.
    world.clock.tick();
    const drained = world.sessions.drain({ ...PLAN, seconds: 60, closesPerSecond: 5 });
    await pass(world, 1000);
    assert.ok(ended() > 0 && ended() < 10, `${ended()} after one of two seconds`);
    await pass(world, 1200);
    await drained;
    assert.equal(ended(), 10);
  });
});

const PLAN = { closesPerSecond: 0, reconnectMinMs: 100, reconnectMaxMs: 200 };
