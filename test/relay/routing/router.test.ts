import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeFrame, FrameType, PeerGoneReason } from '../../../src/wire/frames.ts';
import { Counters, DropReason, PacketKind } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import { Router, RouteResult, type RouterLimits } from '../../../src/relay/routing/router.ts';
import type { Peer } from '../../../src/relay/routing/peer.ts';
import { RecordingRecipient } from './support.ts';

const A = Buffer.alloc(32, 0xaa);
const B = Buffer.alloc(32, 0xbb);
const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);

function limits(contactsPerClient = 16): RouterLimits {
  return { contactsPerClient, connectionsPerKey: 4 };
}

function router(contacts = 16): { router: Router; counters: Counters } {
  const counters = new Counters();
  return { router: new Router(counters, DuplicatePolicy.LastWriter, limits(contacts)), counters };
}

function sendPacket(destination: Buffer, packet: Buffer): Buffer {
  return encodeFrame(FrameType.SendPacket, destination, packet);
}

/** Routes a SendPacket frame of `source`; its bytes must not change. */
function route(r: Router, source: Peer, frame: Buffer): RouteResult {
  const before = Buffer.from(frame);
  const result = r.route(source, frame, 5, 37, frame.length);
  assert.deepEqual(frame, before);
  return result;
}

suite('router', () => {
  test('§9.17 a packet arrives with its source key and unchanged bytes (vector §10.3)', () => {
    const { router: r, counters } = router();
    const [a, b] = [new RecordingRecipient(), new RecordingRecipient()];
    const source = r.register(A, a);
    r.register(B, b);
    const frame = sendPacket(B, Buffer.from('hello'));
    assert.equal(route(r, source, frame), RouteResult.Taken);
    assert.deepEqual(b.delivered, [['aa'.repeat(32), 'bb'.repeat(32), 'hello']]);
    assert.deepEqual(a.delivered, []);
    assert.equal(counters.packetsReceived, 1);
    assert.equal(counters.bytesReceived, 5);
  });

  test('§9.18 a packet to the own key comes back', () => {
    const { router: r } = router();
    const a = new RecordingRecipient();
    const frame = sendPacket(A, Buffer.from('me'));
    route(r, r.register(A, a), frame);
    assert.equal(a.delivered.length, 1);
  });

  test('§9.26 §9.27 an unknown destination is hinted at for disco packets only, and counted by kind', () => {
    const { router: r, counters } = router();
    const source = r.register(A, new RecordingRecipient());
    const plain = sendPacket(B, Buffer.alloc(61, 1));
    const disco = sendPacket(B, DISCO);
    assert.equal(route(r, source, plain), RouteResult.Unknown);
    assert.equal(route(r, source, disco), RouteResult.NotHere);
    assert.deepEqual(counters.dropPackets[DropReason.UnknownDestination], [1, 1]);
    assert.equal(counters.dropBytes[DropReason.UnknownDestination]![PacketKind.Disco], 62);
  });

  test('§9.29 only those whom a source reached hear that it left, once, and again after it came back and sent again', () => {
    const { router: r } = router();
    const [b, c] = [new RecordingRecipient(), new RecordingRecipient()];
    r.register(B, b);
    r.register(Buffer.alloc(32, 0xcc), c);
    for (let round = 1; round <= 2; round++) {
      const a = new RecordingRecipient();
      const source = r.register(A, a);
      for (let i = 0; i < 3; i++) {
        const frame = sendPacket(B, Buffer.from('x'));
        route(r, source, frame);
      }
      r.unregister(source, a);
      assert.equal(b.gone.length, round);
    }
    assert.deepEqual(b.gone[0], { key: 'aa'.repeat(32), reason: PeerGoneReason.Disconnected });
    assert.deepEqual(c.gone, []);
  });

  test('a recipient that left is forgotten by those who reached it', () => {
    const { router: r } = router();
    const b = new RecordingRecipient();
    const source = r.register(A, new RecordingRecipient());
    const destination = r.register(B, b);
    const frame = sendPacket(B, Buffer.from('x'));
    route(r, source, frame);
    assert.equal(source.reached?.size, 1);
    r.unregister(destination, b);
    assert.equal(source.reached.size, 0);
  });

  test('contacts are bounded for each recipient', () => {
    const { router: r } = router(2);
    const b = new RecordingRecipient();
    r.register(B, b);
    // Two rounds: the places of sources that have left can be used again.
    for (let round = 1; round <= 2; round++) {
      const sources = Array.from({ length: 5 }, (_, i) => {
        const connection = new RecordingRecipient();
        return { connection, peer: r.register(Buffer.alloc(32, i + 1), connection) };
      });
      for (const { peer } of sources) route(r, peer, sendPacket(B, Buffer.from('x')));
      assert.equal(b.delivered.length, 5 * round);
      for (const { connection, peer } of sources) r.unregister(peer, connection);
      assert.equal(b.gone.length, 2 * round);
    }
  });

  test('§4.4 duplicates: gauges, health texts for both, and their clearing', () => {
    const { router: r, counters } = router();
    const [one, two, three] = [new RecordingRecipient(), new RecordingRecipient(), new RecordingRecipient()];
    const peer = r.register(A, one);
    r.announceDuplicate(peer, one);
    assert.deepEqual(one.healthTexts, []);
    r.announceDuplicate(r.register(A, two), two);
    r.announceDuplicate(r.register(A, three), three);
    assert.deepEqual(
      [one, two, three].map(({ healthTexts }) => healthTexts.length),
      [1, 1, 1],
      'each hears once that it is not alone',
    );
    assert.deepEqual(
      [counters.duplicateKeys, counters.duplicateConnections, counters.totalDuplicateConnections],
      [1, 3, 2],
    );
    assert.match(one.healthTexts[0]!, /same node key/);
    r.unregister(peer, three);
    assert.deepEqual([counters.duplicateKeys, counters.duplicateConnections], [1, 2]);
    r.unregister(peer, one);
    assert.deepEqual([counters.duplicateKeys, counters.duplicateConnections, counters.localKeys], [0, 0, 1]);
    assert.equal(two.healthTexts.at(-1), '');
    r.unregister(peer, two);
    assert.deepEqual([counters.connections, counters.localKeys, r.table.size], [0, 0, 0]);
  });

  test('a key has so many connections and no more: the oldest is ended, and a connect costs the same whatever their number', () => {
    const { router: r, counters } = router();
    const all: RecordingRecipient[] = [];
    for (let i = 0; i < 50; i++) {
      const newest = new RecordingRecipient(`${i}`);
      newest.onCrowdedOut = () => r.unregister(peer, newest);
      const peer = r.register(A, newest);
      r.announceDuplicate(peer, newest);
      all.push(newest);
      assert.equal(peer.size, Math.min(all.length, 4));
      assert.equal(peer.active, newest);
    }
    const ended = all.filter(({ crowded }) => crowded);
    assert.deepEqual(ended, all.slice(0, 46));
    assert.ok(all.every(({ healthTexts }) => healthTexts.length === 1));
    assert.deepEqual([counters.connections, counters.duplicateConnections, counters.localKeys], [4, 4, 1]);
  });

  test('a source that reached very many leaves: they are told over several turns, and not when it is back before', async () => {
    const { router: r } = router();
    const recipients = Array.from({ length: 1000 }, (_, i) => {
      const recipient = new RecordingRecipient();
      const key = Buffer.alloc(32, 0xee);
      key.writeUInt32BE(i, 0);
      r.register(key, recipient);
      return { recipient, key };
    });
    const told = (): number => recipients.filter(({ recipient }) => recipient.gone.length > 0).length;
    const comeAndGo = (): void => {
      const a = new RecordingRecipient();
      const source = r.register(A, a);
      for (const { key } of recipients) {
        const frame = sendPacket(key, Buffer.from('x'));
        route(r, source, frame);
      }
      r.unregister(source, a);
    };
    comeAndGo();
    const atOnce = told();
    assert.ok(atOnce > 0 && atOnce < 500, `${atOnce} in the first turn`);
    const back = new RecordingRecipient();
    const peer = r.register(A, back);
    for (let i = 0; i < 10; i++) await nextTurn();
    assert.equal(told(), atOnce, 'it is back');
    r.unregister(peer, back);
    for (let i = 0; i < 10; i++) await nextTurn();
    assert.equal(told(), 1000);
    assert.ok(recipients.every(({ recipient }) => recipient.gone.length === 1));
    // A source that joins and leaves in a loop causes a limited number of notices.
    for (let i = 0; i < 5; i++) comeAndGo();
    for (let i = 0; i < 10; i++) await nextTurn();
    assert.ok(recipients.every(({ recipient }) => recipient.gone.length <= 6));
  });

  test('with all duplicates disabled a packet is dropped as dup_client and nobody is told', () => {
    const counters = new Counters();
    const r = new Router(counters, DuplicatePolicy.DisableFighters, limits());
    const [one, two] = [new RecordingRecipient(), new RecordingRecipient()];
    const peer = r.register(A, one);
    r.register(A, two);
    for (const speaker of [two, one, two]) r.spoke(peer, speaker);
    const frame = sendPacket(A, DISCO);
    assert.equal(route(r, r.register(B, new RecordingRecipient()), frame), RouteResult.AllDisabled);
    assert.equal(counters.dropPackets[DropReason.DuplicateClient]![PacketKind.Disco], 1);
  });
});
