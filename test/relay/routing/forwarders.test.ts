import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameType, PeerGoneReason } from '../../../src/wire/frames.ts';
import { Counters, DropReason, PacketKind } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import type { Peer } from '../../../src/relay/routing/peer.ts';
import { Delivery, type Forwarder, type NodeKey, type Source } from '../../../src/relay/routing/recipient.ts';
import { Added } from '../../../src/relay/routing/remote-keys.ts';
import { Router, RouteResult } from '../../../src/relay/routing/router.ts';
import { RecordingRecipient } from './support.ts';

const KEYS = [0xaa, 0xbb, 0xcc, 0xdd].map((byte) => Buffer.alloc(32, byte));
const [A, B, C] = KEYS as [Buffer, Buffer, Buffer, Buffer];
const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);

class RecordingForwarder implements Forwarder {
  isUp = true;
  readonly delivered: string[] = [];

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number): Delivery {
    const first = (key: Buffer): string => key.toString('hex', 0, 1);
    this.delivered.push(`${first(source.key)}>${first(destination.key)} ${buffer.toString('latin1', from, to)}`);
    return Delivery.Taken;
  }

  whenTaking(): void {}
}

function newRouter(): { router: Router; counters: Counters } {
  const counters = new Counters();
  const limits = { contactsPerClient: 16, connectionsPerKey: 4 };
  return { router: new Router(counters, DuplicatePolicy.LastWriter, limits), counters };
}

function send(router: Router, source: Peer, destination: Buffer, packet: Buffer | string): RouteResult {
  const frame = encodeFrame(FrameType.SendPacket, destination, Buffer.from(packet));
  return router.route(source, frame, 5, 37, frame.length);
}

function forward(router: Router, source: Buffer, destination: Buffer, packet: Buffer | string): RouteResult {
  const frame = encodeFrame(FrameType.ForwardPacket, source, destination, Buffer.from(packet));
  return router.routeForwarded(frame, 5, 69, frame.length);
}

suite('forwarders of a key', () => {
  test('§9.51 §9.52 a key that is here and elsewhere: packets stay here; it leaves the region with the last of both', () => {
    const { router, counters } = newRouter();
    const link = new RecordingForwarder();
    const [a, b] = [new RecordingRecipient(), new RecordingRecipient()];
    const source = router.register(A, a);
    const peer = router.register(B, b);
    send(router, peer, A, 'so that A has heard of B');
    const way = router.remote.open(link);
    assert.equal(router.addForwarder(B, 0, way), Added.First);
    assert.deepEqual([counters.localKeys, counters.remoteKeys], [2, 0]);
    send(router, source, B, 'here');
    router.unregister(peer, b);
    assert.deepEqual([counters.localKeys, counters.remoteKeys], [1, 1]);
    assert.deepEqual(a.gone, [], 'the key is still in the region');
    send(router, source, B, 'there');
    router.removeForwarder(B, 0, way);
    assert.deepEqual([counters.localKeys, counters.remoteKeys], [1, 0]);
    assert.equal(a.gone.length, 1);
    assert.equal(send(router, source, B, 'nowhere'), RouteResult.Unknown);
    assert.deepEqual(
      b.delivered.map(([, , packet]) => packet),
      ['here'],
    );
    assert.deepEqual(link.delivered, ['aa>bb there']);
  });

  test('§9.53 connections that are all disabled get nothing over a forwarder either', () => {
    const { router } = newRouter();
    router.duplicatePolicy = DuplicatePolicy.DisableFighters;
    const link = new RecordingForwarder();
    const [first, second] = [new RecordingRecipient(), new RecordingRecipient()];
    const source = router.register(A, new RecordingRecipient());
    const peer = router.register(B, first);
    router.register(B, second);
    router.addForwarder(B, 0, router.remote.open(link));
    for (const speaker of [first, second, first]) router.spoke(peer, speaker);
    assert.equal(send(router, source, B, 'x'), RouteResult.AllDisabled);
    assert.deepEqual(link.delivered, []);
  });
});

suite('packets that another relay forwards', () => {
  test('§9.93 they arrive with their source, which counts as not proved, and are counted', () => {
    const { router, counters } = newRouter();
    const b = new RecordingRecipient();
    const seen: boolean[] = [];
    b.deliver = (source, ...rest) => {
      seen.push(source.isProved);
      return RecordingRecipient.prototype.deliver.call(b, source, ...rest);
    };
    router.register(B, b);
    const local = router.register(C, new RecordingRecipient());
    assert.equal(forward(router, A, B, 'hello'), RouteResult.Taken);
    assert.equal(forward(router, C, B, 'as C'), RouteResult.Taken);
    send(router, local, B, 'of C');
    assert.deepEqual(
      b.delivered.map(([source, , packet]) => `${source.slice(0, 2)} ${packet}`),
      ['aa hello', 'cc as C', 'cc of C'],
    );
    assert.deepEqual(seen, [false, false, true]);
    assert.deepEqual([counters.packetsForwardedIn, counters.bytesForwardedIn], [2, 9]);
    assert.equal(counters.packetsReceived, 1);
  });

  test('§9.54 §9.94 they never go on to a further relay; only for disco packets that is answered', () => {
    const { router, counters } = newRouter();
    const link = new RecordingForwarder();
    router.addForwarder(B, 0, router.remote.open(link));
    assert.equal(forward(router, A, B, 'x'), RouteResult.Unknown);
    assert.equal(forward(router, A, B, DISCO), RouteResult.NotHere);
    assert.equal(forward(router, A, C, DISCO), RouteResult.NotHere);
    assert.deepEqual(link.delivered, []);
    const drops = counters.dropPackets[DropReason.UnknownDestinationOnForward]!;
    assert.deepEqual([drops[PacketKind.Other], drops[PacketKind.Disco]], [1, 2]);
  });

  test('who was reached by a remote source hears when it leaves the region', () => {
    const { router } = newRouter();
    const way = router.remote.open(new RecordingForwarder());
    const b = new RecordingRecipient();
    router.register(B, b);
    router.addForwarder(A, 0, way);
    forward(router, A, B, 'x');
    router.removeForwarder(A, 0, way);
    assert.deepEqual(b.gone, [{ key: A.toString('hex'), reason: PeerGoneReason.Disconnected }]);
  });
});

suite('who watches', () => {
  test('§9.48 §9.90 hears of each new connection, and of a key when its last connection is gone', () => {
    const { router } = newRouter();
    const heard: string[] = [];
    const unwatch = router.watch({
      present: (peer, connection) => heard.push(`${peer.key.toString('hex', 0, 1)} ${connection.presence().app}`),
      gone: (peer) => heard.push(`${peer.key.toString('hex', 0, 1)} gone`),
    });
    const [first, second] = [new RecordingRecipient('first'), new RecordingRecipient('second')];
    const peer = router.register(A, first);
    const way = router.remote.open(new RecordingForwarder());
    router.addForwarder(A, 0, way);
    router.addForwarder(B, 0, way);
    router.register(A, second);
    router.unregister(peer, first);
    router.unregister(peer, second);
    assert.deepEqual(heard, ['aa first', 'aa second', 'aa gone']);
    unwatch();
    router.register(A, first);
    assert.equal(heard.length, 3);
  });
});

test('random joins, leaves and forwarders: each packet goes where the rules say, and the counts are right', () => {
  const move = fc.record({
    key: fc.nat(3),
    way: fc.nat(2),
    what: fc.constantFrom('join', 'leave', 'add', 'remove', 'up'),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const { router, counters } = newRouter();
      const links = [0, 1, 2].map(() => new RecordingForwarder());
      const opened = links.map((link) => router.remote.open(link));
      const sender = router.register(Buffer.alloc(32, 0x11), new RecordingRecipient());
      const model = KEYS.map(() => ({ here: [] as RecordingRecipient[], ways: [] as number[] }));
      for (const { key, way, what } of moves) {
        const { here, ways } = model[key]!;
        const bytes = KEYS[key]!;
        const peer = router.table.named(bytes);
        assert.equal(router.knows(bytes), here.length + ways.length > 0);
        if (what === 'join' && here.length < 3) {
          const connection = new RecordingRecipient();
          router.register(bytes, connection);
          here.push(connection);
        } else if (what === 'leave' && here.length > 0) {
          router.unregister(peer!, here.splice(way % here.length, 1)[0]!);
        } else if (what === 'add') {
          router.addForwarder(bytes, 0, opened[way]!);
          if (!ways.includes(way)) ways.push(way);
        } else if (what === 'remove') {
          router.removeForwarder(bytes, 0, opened[way]!);
          model[key]!.ways = ways.filter((other) => other !== way);
        } else if (what === 'up') {
          links[way]!.isUp = !links[way]!.isUp;
        }
        for (const [i, state] of model.entries()) expectDelivery(router, sender, KEYS[i]!, state, links);
      }
      const local = model.filter(({ here }) => here.length > 0).length;
      const remote = model.filter(({ here, ways }) => here.length === 0 && ways.length > 0).length;
      assert.deepEqual([counters.localKeys, counters.remoteKeys], [local + 1, remote]);
    }),
  );
});

/** Sends a packet to `key`, and checks that only the right forwarder got it. */
function expectDelivery(
  router: Router,
  sender: Peer,
  key: Buffer,
  { here, ways }: { readonly here: readonly RecordingRecipient[]; readonly ways: readonly number[] },
  links: readonly RecordingForwarder[],
): void {
  const all = [...here, ...links];
  const before = all.map(({ delivered }) => delivered.length);
  const result = send(router, sender, key, 'x');
  const got = all.filter(({ delivered }, i) => delivered.length > before[i]!);
  const way = ways.find((i) => links[i]!.isUp) ?? ways[0];
  if (here.length === 0 && way === undefined) {
    assert.deepEqual([result, got.length], [RouteResult.Unknown, 0]);
    return;
  }
  assert.equal(result, RouteResult.Taken);
  assert.equal(got.length, 1);
  if (here.length > 0) assert.ok(here.includes(got[0] as RecordingRecipient));
  else assert.equal(got[0], links[way!]);
}
