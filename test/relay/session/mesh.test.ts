import assert from 'node:assert/strict';
import { mock, suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { KeyLimits } from '../../../src/relay/fairness/key-limits.ts';
import { PresenceFeed } from '../../../src/relay/session/presence-feed.ts';
import { SessionState } from '../../../src/relay/session/session-state.ts';
import { encodePing } from '../../../src/wire/client-frames.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { decodePeerPresent, encodePeerPresent, WATCH_CONNS_FRAME } from '../../../src/wire/mesh-frames.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { type MemoryStream, SessionWorld } from './support.ts';

const MESH_KEY = Buffer.alloc(32, 0x3e);
const OTHER_MESH_KEY = Buffer.alloc(32, 0x3f);
const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);
const MESH_TYPES: readonly number[] = [FrameType.PeerPresent, FrameType.PeerGone];

function meshWorld(): SessionWorld {
  return new SessionWorld({ meshKeys: [MESH_KEY] });
}

/** Returns the notices of a watcher since the last call: first byte of the key, then flags, address and application, or `gone`. */
async function told(stream: MemoryStream): Promise<string[]> {
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  return stream
    .frames()
    .filter(({ type }) => MESH_TYPES.includes(type))
    .map(({ type, payload }) => {
      const key = payload.toString('hex', 0, 32);
      if (type === FrameType.PeerGone) return `${key} gone ${payload[32]}`;
      const { ip, port, flags, app } = decodePeerPresent(payload);
      return `${key} ${flags} ${ip}:${port} ${app}`;
    });
}

suite('connections with the mesh key', () => {
  test('§9.42 §9.43 the key gives rights, a second one during a rotation too, and another one is refused without a byte of it', () => {
    const world = meshWorld();
    assert.equal(world.open(undefined, { meshKey: MESH_KEY }).session.snapshot().isMesh, true);
    assert.equal(world.open().session.snapshot().isMesh, false);
    const wrong = world.open(undefined, { meshKey: OTHER_MESH_KEY });
    assert.equal(wrong.session.state, SessionState.Finishing);
    assert.deepEqual(world.refusals, [['mesh_key', 'it shows another mesh key than this relay has']]);
    world.sessions.setMeshKeys([OTHER_MESH_KEY, MESH_KEY]);
    assert.equal(world.open(undefined, { meshKey: OTHER_MESH_KEY }).session.snapshot().isMesh, true);
  });

  test('a relay without a mesh key gives nobody rights, and takes who shows one for an ordinary client', () => {
    const world = new SessionWorld();
    const { session, stream } = world.open(undefined, { meshKey: MESH_KEY });
    assert.equal(session.state, SessionState.Open);
    stream.feed(WATCH_CONNS_FRAME);
    assert.deepEqual(
      world.refusals.map(([reason]) => reason),
      ['no_mesh_rights'],
    );
  });

  test('a key that is not accepted any more ends the connections that came with it, and no others', () => {
    const world = meshWorld();
    const mesh = world.open(undefined, { meshKey: MESH_KEY });
    const client = world.open();
    world.sessions.setMeshKeys([OTHER_MESH_KEY]);
    assert.deepEqual([mesh.session.state, client.session.state], [SessionState.Finishing, SessionState.Open]);
  });

  test('§9.98 nobody is asked about them, no program name keeps them out, and no rate applies', async () => {
    const world = new SessionWorld({
      meshKeys: [MESH_KEY],
      admission: { admit: () => ({ admitted: false, source: 'test', reason: 'nobody' }) },
      deniedApps: new Set(['tool']),
      keyLimits: new KeyLimits({ bytesPerSecond: 1, burstBytes: 1 }, null),
      rate: { bytesPerSecond: 1, burstBytes: 1 },
    });
    const { session, stream } = world.open(undefined, { meshKey: MESH_KEY, appName: 'tool' });
    assert.equal(session.state, SessionState.Open);
    assert.equal(session.snapshot().admittedBy, 'mesh');
    for (let i = 0; i < 20; i++) stream.feed(encodeFrame(FrameType.Ping, Buffer.alloc(900)));
    await nextTurn();
    assert.equal(world.counters.rateLimitWaits, 0);
    await world.sessions.review(
      () => ({ admitted: false, source: 'test', reason: 'review' }),
      () => assert.fail(),
    );
    assert.equal(session.state, SessionState.Open);
  });

  test('§9.46 §9.47 §9.48 §9.89 §9.90 a watcher hears of itself, of who is here, and of who comes and goes', async () => {
    const world = meshWorld();
    const keys = [1, 2, 3].map(() => generateNodeKeyPair());
    const hex = keys.map(({ publicKey }) => publicKey.toString('hex'));
    const first = world.open(keys[0], { appName: 'app one' });
    const prober = world.open(keys[1], { isProber: true }, { notIdeal: true });
    const watcher = world.open(undefined, { meshKey: MESH_KEY, isProber: true });
    watcher.stream.feed(WATCH_CONNS_FRAME);
    assert.deepEqual(
      (await told(watcher.stream)).sort(),
      [
        `${hex[0]!} 1 192.0.2.1:1 app one`,
        `${hex[1]!} 12 192.0.2.1:1 `,
        `${watcher.key.toString('hex')} 6 192.0.2.1:1 `,
      ].sort(),
    );
    assert.equal(world.counters.watchers, 1);
    const second = world.open(keys[0]);
    assert.deepEqual(await told(watcher.stream), [`${hex[0]!} 1 192.0.2.1:1 `]);
    first.stream.close();
    assert.deepEqual(await told(watcher.stream), []);
    second.stream.close();
    world.open(keys[2]);
    prober.stream.close();
    assert.deepEqual(await told(watcher.stream), [
      `${hex[0]!} gone 0`,
      `${hex[2]!} 1 192.0.2.1:1 `,
      `${hex[1]!} gone 0`,
    ]);
    watcher.stream.close();
    assert.equal(world.counters.watchers, 0);
  });

  test('§9.92 a watcher with the key of the relay hears nothing and stays', async () => {
    const world = meshWorld();
    const { session, stream } = world.open(world.serverKeys, { meshKey: MESH_KEY });
    stream.feed(WATCH_CONNS_FRAME);
    assert.deepEqual(await told(stream), []);
    assert.equal(session.state, SessionState.Open);
  });

  test('a slow watcher hears of many keys in parts, of each only how it is at last, and keeps its connection', async () => {
    const world = meshWorld();
    const watcher = world.open(undefined, { meshKey: MESH_KEY });
    await nextTurn();
    watcher.stream.frames();
    watcher.stream.room = 1000;
    watcher.stream.feed(WATCH_CONNS_FRAME);
    const clients = Array.from({ length: 3000 }, () => world.open());
    for (const { stream } of clients.slice(0, 1000)) stream.close();
    const gone = generateNodeKeyPair();
    world.open(gone).stream.close();
    await nextTurn();
    assert.ok(watcher.session.controlBytes < 65_536);
    const lines: string[] = [];
    for (let round = 0; round < 500 && lines.length < 3002; round++) {
      watcher.stream.room = 20_000;
      watcher.session.writable();
      lines.push(...(await told(watcher.stream)));
    }
    const isGone = (line: string): boolean => line.endsWith('gone 0');
    assert.deepEqual([lines.filter(isGone).length, lines.filter((line) => !isGone(line)).length], [1001, 2001]);
    assert.equal(new Set(lines.map((line) => line.slice(0, 64))).size, 3002);
    assert.equal(watcher.session.state, SessionState.Open);
  });

  test('a watcher that is told of many keys, more slowly than they could be, still gets its Pong', async () => {
    const world = meshWorld();
    for (let i = 0; i < 2000; i++) world.open();
    const watcher = world.open(undefined, { meshKey: MESH_KEY });
    await nextTurn();
    watcher.stream.frames();
    watcher.stream.room = 1000;
    watcher.stream.feed(WATCH_CONNS_FRAME);
    await nextTurn();
    watcher.stream.feed(encodePing(Buffer.from('8 bytes.')));
    const frames: { type: number; payload: Buffer }[] = [];
    for (let round = 0; round < 20; round++) {
      watcher.stream.room = 5000;
      watcher.session.writable();
      await nextTurn();
      frames.push(...watcher.stream.frames());
    }
    const pong = frames.findIndex(({ type }) => type === FrameType.Pong);
    assert.ok(pong > 0 && pong < frames.length - 1, 'between what it is told');
    assert.equal(frames[pong]!.payload.toString(), '8 bytes.');
  });

  test('§9.91 ClosePeer ends every connection of the key and no other, and an unknown key does nothing', () => {
    const world = meshWorld();
    const keys = generateNodeKeyPair();
    const [one, two, other] = [world.open(keys), world.open(keys), world.open()];
    const mesh = world.open(undefined, { meshKey: MESH_KEY });
    mesh.stream.feed(encodeFrame(FrameType.ClosePeer, keys.publicKey));
    mesh.stream.feed(encodeFrame(FrameType.ClosePeer, Buffer.alloc(32, 9)));
    const { Finishing, Open } = SessionState;
    const states = [one, two, other, mesh].map(({ session }) => session.state);
    assert.deepEqual(states, [Finishing, Finishing, Open, Open]);
    assert.deepEqual(
      world.refusals.map(([reason]) => reason),
      ['close_peer', 'close_peer'],
    );
  });

  test('§9.93 §9.94 ForwardPacket: the source is kept, and a disco packet to a key that is not here is answered', async () => {
    const world = meshWorld();
    const client = world.open();
    const mesh = world.open(undefined, { meshKey: MESH_KEY });
    await nextTurn();
    client.stream.frames();
    mesh.stream.frames();
    const source = Buffer.alloc(32, 0x55);
    const absent = Buffer.alloc(32, 0x66);
    mesh.stream.feed(encodeFrame(FrameType.ForwardPacket, source, client.key, Buffer.from('hello')));
    mesh.stream.feed(encodeFrame(FrameType.ForwardPacket, source, absent, DISCO));
    mesh.stream.feed(encodeFrame(FrameType.ForwardPacket, source, absent, Buffer.from('plain')));
    await nextTurn();
    assert.deepEqual(client.stream.frames(), [
      { type: FrameType.RecvPacket, payload: Buffer.concat([source, Buffer.from('hello')]) },
    ]);
    assert.deepEqual(mesh.stream.frames(), [
      { type: FrameType.PeerGone, payload: Buffer.concat([absent, Buffer.of(1)]) },
    ]);
    mesh.stream.feed(encodeFrame(FrameType.ForwardPacket, Buffer.alloc(32), client.key, Buffer.from('x')));
    assert.deepEqual(
      world.refusals.map(([reason]) => reason),
      ['mesh_source'],
    );
  });

  test('§9.96 mesh frames of a wrong length end the connection', () => {
    const wrong: readonly (readonly [type: number, bytes: number])[] = [
      [FrameType.WatchConns, 1],
      [FrameType.ClosePeer, 31],
      [FrameType.ClosePeer, 33],
      [FrameType.ForwardPacket, 63],
      [FrameType.ForwardPacket, 65_601],
    ];
    for (const [type, bytes] of wrong) {
      const world = meshWorld();
      const { stream } = world.open(undefined, { meshKey: MESH_KEY });
      stream.feed(encodeFrame(FrameType.Ping, Buffer.alloc(8)));
      const header = Buffer.alloc(5);
      header[0] = type;
      header.writeUInt32BE(bytes, 1);
      stream.feed(header);
      assert.deepEqual(
        world.refusals.map(([reason]) => reason),
        ['bad_frame_length'],
      );
    }
  });
});

suite('PeerPresent', () => {
  test('§2.2 §12 is 52 bytes and the name: key, IPv6 or mapped address, port, flags', () => {
    const key = Buffer.alloc(32, 0xaa);
    const frame = encodePeerPresent(key, { ip: '192.0.2.7', port: 258, flags: 8, app: 'abc' });
    assert.equal(frame.toString('hex'), `0900000037${'aa'.repeat(32)}00000000000000000000ffffc000020701020803616263`);
    for (const presence of [
      { ip: '2001:db8::1', port: 65_535, flags: 1, app: '' },
      { ip: '192.0.2.7', port: 1, flags: 2, app: 'x'.repeat(32) },
      { ip: '', port: 0, flags: 1, app: '' },
    ]) {
      assert.deepEqual(decodePeerPresent(encodePeerPresent(key, presence).subarray(5)), presence);
    }
  });

  test('shorter ones of older relays are read as far as they go', () => {
    const frame = encodePeerPresent(Buffer.alloc(32), { ip: '192.0.2.7', port: 9, flags: 4, app: 'abc' });
    const read = (bytes: number): unknown => decodePeerPresent(frame.subarray(5, 5 + bytes));
    assert.deepEqual(read(51), { ip: '192.0.2.7', port: 9, flags: 4, app: '' });
    assert.deepEqual(read(50), { ip: '192.0.2.7', port: 9, flags: 0, app: '' });
    assert.deepEqual(read(32), { ip: '', port: 0, flags: 0, app: '' });
    assert.deepEqual(read(40), { ip: '', port: 0, flags: 0, app: '' });
  });
});

suite('what a watcher is still to be told', () => {
  test('one that is too far behind is ended, and until then each key waits once', () => {
    const world = meshWorld();
    const most = 20;
    let behind = 0;
    const reader = {
      controlBytes: Infinity,
      control: () => assert.fail(),
      hasMore: () => {},
      tooFarBehind: () => behind++,
    };
    const feed = new PresenceFeed(world.context.router, reader, most);
    const same = generateNodeKeyPair();
    for (let i = 0; i < 2 * most; i++) world.open(same).stream.close();
    for (let i = 1; i < most; i++) world.open().stream.close();
    assert.equal(behind, 0);
    world.open();
    assert.equal(behind, 1);
    feed.close();
  });

  test('asked for everyone again and again in one turn, it makes the list once', () => {
    const world = meshWorld();
    const { router } = world.context;
    world.open();
    let frames = 0;
    const reader = { controlBytes: 0, control: () => frames++, hasMore: () => {}, tooFarBehind: () => assert.fail() };
    const feed = new PresenceFeed(router, reader);
    const all = mock.method(router.table, 'all');
    for (let i = 0; i < 100; i++) feed.tellAll();
    assert.deepEqual([feed.fill(), feed.fill(), frames, all.mock.callCount()], [false, false, 1, 1]);
    feed.tellAll();
    assert.deepEqual([feed.fill(), frames, all.mock.callCount()], [false, 2, 2]);
    feed.close();
  });
});
