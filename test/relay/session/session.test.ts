import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AdmissionVerdict } from '../../../src/relay/session/admission.ts';
import { moveTo, SessionState } from '../../../src/relay/session/session-state.ts';
import { openBox, sharedBoxKey } from '../../../src/wire/box.ts';
import { encodeFrame, FrameType, PeerGoneReason } from '../../../src/wire/frames.ts';
import { parseServerInfo, parseServerKey } from '../../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { sendPacket, SessionWorld } from './support.ts';

const REFUSED: AdmissionVerdict = { admitted: false, source: 'keys', reason: 'not in the list' };

suite('the life of a session', () => {
  test('moves forwards only', () => {
    const states = Object.values(SessionState);
    for (const from of states) {
      for (const next of states) {
        const isForwards = next > from;
        if (isForwards) assert.equal(moveTo(from, next), next);
        else assert.throws(() => moveTo(from, next), /cannot move/);
      }
    }
  });

  test('§3 greeting, ClientInfo, ServerInfo: then it is open under its key', async () => {
    const world = new SessionWorld();
    const keys = generateNodeKeyPair();
    const { stream, session } = world.connect();
    await nextTurn();
    const [greeting] = stream.frames();
    assert.equal(greeting!.type, FrameType.ServerKey);
    assert.deepEqual(parseServerKey(greeting!.payload, 0, greeting!.payload.length), world.serverKeys.publicKey);
    assert.equal(session.state, SessionState.Identifying);
    stream.feed(world.clientInfo(keys));
    assert.equal(session.state, SessionState.Open);
    await nextTurn();
    const [info] = stream.frames();
    assert.equal(info!.type, FrameType.ServerInfo);
    const shared = sharedBoxKey(keys.privateKey, world.serverKeys.publicKey);
    assert.equal(parseServerInfo(openBox(shared, info!.payload))?.version, 2);
    assert.deepEqual([world.opened, world.counters.connections], [[keys.publicKey.toString('hex')], 1]);
    stream.close();
    assert.equal(session.state, SessionState.Closed);
    assert.deepEqual([world.closed, world.counters.connections, world.sessions.count], [['end'], 0, 0]);
  });

  test('a box that is not of this key ends it, and nothing that follows is looked at', () => {
    const world = new SessionWorld();
    const { stream, session } = world.connect();
    const forged = world.clientInfo();
    forged[forged.length - 1]! ^= 1;
    stream.feed(Buffer.concat([forged, world.clientInfo()]));
    assert.deepEqual(
      [world.refusals, stream.end, session.state],
      [[['client_info_box', '']], 'finish', SessionState.Finishing],
    );
    stream.feed(world.clientInfo());
    stream.close();
    assert.deepEqual([session.state, world.sessions.count, world.opened], [SessionState.Closed, 0, []]);
  });

  test('one that leaves before it has said anything is counted', () => {
    const world = new SessionWorld();
    world.connect().stream.close('reset');
    assert.deepEqual(world.refusals, [['handshake_closed', '']]);
  });

  test('while a source is asked it is Admitting; a yes opens it with what it sent meanwhile, a no ends it', async () => {
    for (const verdict of [{ admitted: true, source: 'web' } as const, REFUSED]) {
      const asked = Promise.withResolvers<AdmissionVerdict>();
      const world = new SessionWorld({ admission: { admit: () => asked.promise } });
      const { stream, session } = world.connect();
      stream.feed(Buffer.concat([world.clientInfo(), encodeFrame(FrameType.Ping, Buffer.from('12345678'))]));
      assert.equal(session.state, SessionState.Admitting);
      assert.ok(stream.isPaused);
      asked.resolve(verdict);
      await nextTurn();
      await nextTurn();
      if (verdict.admitted) {
        assert.equal(session.state, SessionState.Open);
        const pong = stream.frames().find(({ type }) => type === FrameType.Pong);
        assert.equal(pong!.payload.toString(), '12345678');
      } else {
        assert.deepEqual([session.state, stream.end], [SessionState.Finishing, 'finish']);
        assert.deepEqual(world.refusals, [['not_admitted', 'keys: not in the list']]);
      }
    }
  });

  test('one that is gone when the answer comes is not opened any more, and a source that throws admits nobody', async () => {
    const asked = Promise.withResolvers<AdmissionVerdict>();
    let isOver: (() => boolean) | undefined;
    const world = new SessionWorld({
      admission: {
        admit: (request) => {
          isOver = request.isOver;
          return asked.promise;
        },
      },
    });
    const [gone, waits] = [world.connect(), world.connect()];
    for (const { stream } of [gone, waits]) stream.feed(world.clientInfo());
    assert.equal(isOver?.(), false);
    gone.stream.close();
    asked.reject(new Error('out of order'));
    await nextTurn();
    assert.deepEqual([gone.session.state, waits.session.state], [SessionState.Closed, SessionState.Finishing]);
    assert.deepEqual(world.refusals, [['not_admitted', 'error: out of order']]);
    assert.equal(world.counters.connections, 0);
  });

  test('a program that is denied, and a connection that the door has no room for, are ended', () => {
    const denied = new SessionWorld({ deniedApps: new Set(['']) });
    assert.equal(denied.open().stream.end, 'finish');
    assert.equal(denied.refusals[0]![0], 'app_denied');
    const full = new SessionWorld({ mayOpen: () => ({ reason: 'connection_limit', detail: 'full' }) });
    assert.equal(full.open().stream.end, 'finish');
    assert.deepEqual(full.refusals, [['connection_limit', 'full']]);
  });

  test('while it is finishing, packets for it are dropped and counted, and its key is free at once', () => {
    const world = new SessionWorld();
    const { session, key, stream } = world.open();
    const source = world.open();
    session.finish();
    assert.equal(world.counters.connections, 1);
    source.stream.feed(sendPacket(key, Buffer.alloc(10)));
    assert.deepEqual([...world.sessions.snapshots()][1]!.drops['unknown_dest'], 1);
    session.finish();
    session.expel('not_admitted', '');
    assert.deepEqual([stream.end, world.refusals], ['finish', []]);
  });
});

suite('what an open session does with frames', () => {
  test('§4.6 a Ping is answered with its first 8 bytes, but not while Pongs pile up', async () => {
    const world = new SessionWorld();
    const { stream } = world.open();
    await nextTurn();
    stream.frames();
    stream.feed(encodeFrame(FrameType.Ping, Buffer.from('12345678 and more')));
    await nextTurn();
    assert.deepEqual(
      stream.frames().map(({ type, payload }) => [type, payload.toString()]),
      [[FrameType.Pong, '12345678']],
    );
    for (let i = 0; i < 500; i++) stream.feed(encodeFrame(FrameType.Ping, Buffer.alloc(8)));
    await nextTurn();
    const pongs = stream.frames().length;
    assert.ok(pongs > 50 && pongs < 100, `${pongs}`);
    assert.equal(world.counters.pingsReceived, 501);
  });

  test('§4.7 disco packets to a stranger are hinted at, a few at once', async () => {
    const world = new SessionWorld();
    const { stream } = world.open();
    await nextTurn();
    stream.frames();
    const stranger = Buffer.alloc(32, 5);
    const disco = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);
    for (let i = 0; i < 10; i++) stream.feed(sendPacket(stranger, disco));
    await nextTurn();
    const hints = stream.frames();
    assert.equal(hints.length, 3);
    assert.deepEqual(hints[0]!.payload, Buffer.concat([stranger, Buffer.of(PeerGoneReason.NotHere)]));
  });

  test('§4.7 home is counted once for each client, and is forgotten with it', () => {
    const world = new SessionWorld();
    const { stream } = world.open();
    for (const home of [1, 1, 0, 1]) stream.feed(encodeFrame(FrameType.NotePreferred, Buffer.of(home)));
    assert.equal(world.counters.homeConnections, 1);
    stream.close();
    assert.equal(world.counters.homeConnections, 0);
  });

  test('a frame of a type that nobody knows is skipped and counted', () => {
    const world = new SessionWorld();
    const { stream } = world.open();
    stream.feed(
      Buffer.concat([encodeFrame(0x77 as FrameType, Buffer.alloc(100)), encodeFrame(FrameType.Ping, Buffer.alloc(8))]),
    );
    assert.deepEqual([world.counters.unknownFrames, world.counters.pingsReceived, stream.end], [1, 1, null]);
  });

  test('§4.4 of two connections with one key the one that spoke last is given the packets', async () => {
    const world = new SessionWorld();
    const keys = generateNodeKeyPair();
    const [first, second] = [world.open(keys), world.open(keys)];
    const source = world.open();
    first.stream.feed(encodeFrame(FrameType.Ping, Buffer.alloc(8)));
    source.stream.feed(sendPacket(keys.publicKey, Buffer.from('hello')));
    await nextTurn();
    const packets = [first, second].map(
      ({ stream }) => stream.frames().filter(({ type }) => type === FrameType.RecvPacket).length,
    );
    assert.deepEqual(packets, [1, 0]);
    assert.ok([...world.sessions.snapshots()][0]!.isDuplicate);
  });
});
