import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClientLimits } from '../../../src/relay/fairness/client-limits.ts';
import type { AdmissionVerdict } from '../../../src/relay/session/admission.ts';
import { openBox, sharedBoxKey } from '../../../src/wire/box.ts';
import { FrameType } from '../../../src/wire/frames.ts';
import { parseServerInfo } from '../../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { sendPacket, SessionWorld } from './support.ts';

const LIMITS: ClientLimits = {
  tier: 'guests',
  bytesPerSecond: 1000,
  burstBytes: 70_000,
  weight: 2,
  connections: 1,
};

/** A world with the same verdict for every client, in the form in which it comes from another thread. */
function worldOf(verdict: AdmissionVerdict): SessionWorld {
  return new SessionWorld({ admission: { admit: () => structuredClone(verdict) } });
}

suite('limits that a key has of its own', () => {
  test('come with the verdict, are announced in ServerInfo and shown in the snapshot', async () => {
    const world = worldOf({ admitted: true, source: 'list', limits: LIMITS });
    const keys = generateNodeKeyPair();
    const { stream, session } = world.open(keys);
    await nextTurn();
    const info = stream.frames().find(({ type }) => type === FrameType.ServerInfo);
    const parsed = parseServerInfo(openBox(sharedBoxKey(keys.privateKey, world.serverKeys.publicKey), info!.payload));
    assert.deepEqual([parsed?.bytesPerSecond, parsed?.burstBytes], [LIMITS.bytesPerSecond, LIMITS.burstBytes]);
    assert.equal(session.snapshot().tier, 'guests');
  });

  test('bound what the key sends, and other ones apply at once', async () => {
    const world = worldOf({ admitted: true, source: 'list', limits: LIMITS });
    const { key: receiver } = world.open();
    const { stream, key } = world.open();
    const packet = sendPacket(receiver, Buffer.alloc(60_000));
    stream.feed(packet);
    // A new key starts with the burst of its address; the second packet exceeds it.
    stream.feed(packet);
    assert.equal(world.counters.rateLimitWaits > 0, true);
    const [before] = world.sessions.takeTraffic();
    assert.equal(before?.receivedPackets, 1);
    world.sessions.setKeyLimits([{ key, limits: { ...LIMITS, tier: 'free', bytesPerSecond: 0 } }]);
    await nextTurn();
    const after = world.sessions.takeTraffic().find((traffic) => traffic.key === key.toString('hex'));
    assert.deepEqual([after?.receivedPackets, after?.receivedBytes], [1, 60_000]);
  });

  test('bound its connections: the oldest makes room', () => {
    const world = worldOf({ admitted: true, source: 'list', limits: LIMITS });
    const keys = generateNodeKeyPair();
    const { stream: first } = world.open(keys);
    const { stream: second } = world.open(keys);
    assert.deepEqual([first.end, second.end], ['finish', null]);
    assert.equal(world.refusals[0]?.[0], 'key_connections');
    assert.equal(world.counters.connections, 1);
  });

  test('a refusal counts as what its verdict says', () => {
    const world = worldOf({ admitted: false, source: 'tier guests', reason: 'used up', refusal: 'over_quota' });
    const { stream } = world.open();
    assert.equal(stream.end, 'finish');
    assert.deepEqual(world.refusals, [['over_quota', 'tier guests: used up']]);
  });
});

suite('all connections of some keys', () => {
  test('are ended, all of them or the one from an address', () => {
    const world = new SessionWorld();
    const keys = generateNodeKeyPair();
    const { stream: first, key } = world.open(keys);
    const { stream: second } = world.open(keys);
    const { stream: other } = world.open();
    second.remote = { ip: '192.0.2.9', port: 9 };
    const ending = { key, refusal: 'disconnected', detail: 'by an operator' } as const;
    assert.equal(world.sessions.endKeys([{ ...ending, remote: { ip: '192.0.2.9', port: 9 } }]), 1);
    assert.deepEqual([first.end, second.end, other.end], [null, 'finish', null]);
    assert.equal(world.sessions.endKeys([ending]), 1);
    assert.deepEqual([first.end, other.end], ['finish', null]);
    assert.equal(world.sessions.endKeys([ending]), 0);
  });

  test('what a session did counts once, and is not lost when it ends', async () => {
    const world = worldOf({ admitted: true, source: 'list' });
    const { key: receiver } = world.open();
    const { stream, key } = world.open();
    const byKey = (): Record<string, readonly [number, number]> =>
      Object.fromEntries(world.sessions.takeTraffic().map((t) => [t.key, [t.receivedBytes, t.sentBytes] as const]));
    stream.feed(sendPacket(receiver, Buffer.alloc(100)));
    await nextTurn();
    assert.deepEqual(byKey(), { [key.toString('hex')]: [100, 0], [receiver.toString('hex')]: [0, 100] });
    assert.deepEqual(byKey(), {});
    stream.feed(sendPacket(receiver, Buffer.alloc(50)));
    stream.close();
    await nextTurn();
    assert.deepEqual(byKey(), { [key.toString('hex')]: [50, 0], [receiver.toString('hex')]: [0, 50] });
  });
});
