import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Clock } from '../../src/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientHandler, DerpClientOptions } from '../../src/client/options.ts';
import { TowpathError } from '../../src/errors.ts';
import { transport } from '../../src/transport/runtime.ts';
import { encodeFrame, encodeServerKey, FrameType, KEEP_ALIVE_FRAME } from '../../src/wire/frames.ts';
import { encodeServerInfo, upgradeResponseHead } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { FakeRelay, type Script } from './fake-relay.ts';

let relay: FakeRelay;
let clock: Clock;
const open: DerpClient[] = [];

async function start(script: Partial<Script> = {}): Promise<void> {
  await relay.stop();
  relay = await FakeRelay.start(script);
}

async function connect(options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
  const client = await connectDerp({ transport, clock, url: relay.url, timeoutMs: 5000, ...options });
  open.push(client);
  return client;
}

function refusal(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TowpathError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

/** A handler whose first call of `name` resolves the promise with what it was called with, copied. */
function firstCall(name: keyof DerpClientHandler): { handler: DerpClientHandler; called: Promise<unknown[]> } {
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  const note = (...args: unknown[]): void =>
    resolve(args.map((arg) => (Buffer.isBuffer(arg) ? Buffer.from(arg) : arg)));
  return { handler: { [name]: note }, called: promise };
}

beforeEach(async () => {
  clock = new Clock();
  clock.start();
  relay = await FakeRelay.start();
});
afterEach(async () => {
  for (const client of open.splice(0)) client.abort();
  clock.stop();
  await relay.stop();
});

describe('connectDerp', () => {
  it('sends the request of §1.1 and logs in', async () => {
    const client = await connect({ idealNode: '900a', info: { isProber: true } });
    const [connection] = relay.connections;
    assert.equal(
      connection!.head,
      `GET /derp HTTP/1.1\r\nHost: 127.0.0.1:${relay.port}\r\nUser-Agent: towpath\r\n` +
        'Connection: Upgrade\r\nIdeal-Node: 900a\r\nUpgrade: DERP',
    );
    assert.deepEqual(connection!.info, { meshKey: null, version: 2, canAckPings: true, isProber: true, appName: '' });
    assert.deepEqual(connection!.publicKey, client.publicKey);
    assert.deepEqual(client.facts.serverKey, relay.keys.publicKey);
    assert.equal(client.facts.mode, 'upgrade');
    assert.equal(client.facts.tls, null);
  });

  it('keeps the bytes after the head, however they are cut', async () => {
    await start({
      upgrade(connection) {
        const { publicKey } = relay.keys;
        const bytes = Buffer.concat([Buffer.from(upgradeResponseHead(publicKey)), encodeServerKey(publicKey)]);
        const cut = bytes.length - 20;
        connection.write(bytes.subarray(0, cut));
        setImmediate(() => connection.write(bytes.subarray(cut)));
      },
    });
    assert.ok((await connect()).isOpen);
  });

  it('delivers what comes in the same read as ServerInfo', async () => {
    await start({
      login(connection, sharedKey) {
        connection.write(
          encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0 }),
          encodeFrame(FrameType.Health, Buffer.from('BAD')),
        );
      },
    });
    const { handler, called } = firstCall('health');
    await connect({ handler });
    assert.deepEqual(await called, ['BAD']);
  });

  const refusals: [string, Partial<Script>, string, RegExp][] = [
    [
      'another status',
      { upgrade: (connection) => connection.write('HTTP/1.1 426 Upgrade Required\r\nX: y\r\n\r\nno') },
      'TOWPATH_CLIENT_HTTP',
      /HTTP 426 Upgrade Required/,
    ],
    [
      'no HTTP',
      { upgrade: (connection) => connection.write('SSH-2.0-OpenSSH\r\n') },
      'TOWPATH_CLIENT_UPGRADE',
      /not HTTP/,
    ],
    [
      'HTTP/2',
      { upgrade: (connection) => connection.write('HTTP/2 101\r\n\r\n') },
      'TOWPATH_CLIENT_UPGRADE',
      /not HTTP\/1/,
    ],
    [
      'an endless head',
      { upgrade: (connection) => connection.write(`HTTP/1.1 101 X\r\nX: ${'x'.repeat(20_000)}`) },
      'TOWPATH_CLIENT_UPGRADE',
      /longer than/,
    ],
    [
      'a close in place of an answer',
      { upgrade: (connection) => connection.stream.abort() },
      'TOWPATH_CLIENT_UPGRADE',
      /without an answer/,
    ],
    [
      'a close before the greeting',
      {
        upgrade(connection) {
          connection.write(upgradeResponseHead(connection.relay.keys.publicKey));
          connection.stream.finish(1000);
        },
      },
      'TOWPATH_CLIENT_GREETING',
      /ended before it/,
    ],
    [
      'another first frame',
      { upgrade: (connection) => connection.write(upgradeResponseHead(Buffer.alloc(32)), KEEP_ALIVE_FRAME) },
      'TOWPATH_CLIENT_GREETING',
      /type 6/,
    ],
    [
      'a short greeting',
      {
        upgrade: (connection) =>
          connection.write(upgradeResponseHead(Buffer.alloc(32)), encodeFrame(FrameType.ServerKey, Buffer.alloc(39))),
      },
      'TOWPATH_CLIENT_GREETING',
      /only 39 bytes/,
    ],
    [
      'a long greeting',
      {
        upgrade: (connection) =>
          connection.write(upgradeResponseHead(Buffer.alloc(32)), encodeFrame(FrameType.ServerKey, Buffer.alloc(1025))),
      },
      'TOWPATH_CLIENT_GREETING',
      /1025 bytes/,
    ],
    [
      'a greeting without the magic',
      {
        upgrade: (connection) =>
          connection.write(
            upgradeResponseHead(Buffer.alloc(32)),
            encodeFrame(FrameType.ServerKey, Buffer.alloc(40, 1)),
          ),
      },
      'TOWPATH_CLIENT_GREETING',
      /magic/,
    ],
    [
      'the zero key',
      {
        upgrade: (connection) =>
          connection.write(upgradeResponseHead(Buffer.alloc(32)), encodeServerKey(Buffer.alloc(32))),
      },
      'TOWPATH_CLIENT_GREETING',
      /Curve25519/,
    ],
    [
      'a close after ClientInfo',
      { login: (connection) => connection.stream.finish(1000) },
      'TOWPATH_CLIENT_REFUSED',
      /does not admit/,
    ],
    [
      'a frame before ServerInfo',
      { login: (connection) => connection.write(KEEP_ALIVE_FRAME) },
      'TOWPATH_CLIENT_GREETING',
      /type 6 came before ServerInfo/,
    ],
    [
      'a short ServerInfo',
      { login: (connection) => connection.write(encodeFrame(FrameType.ServerInfo, Buffer.alloc(23))) },
      'TOWPATH_CLIENT_GREETING',
      /23 bytes/,
    ],
    [
      'a ServerInfo sealed with another key',
      {
        login: (connection) =>
          connection.write(encodeServerInfo({ sharedKey: Buffer.alloc(32, 1), bytesPerSecond: 0, burstBytes: 0 })),
      },
      'TOWPATH_CLIENT_BOX',
      /does not open/,
    ],
    [
      'a ServerInfo with a wrong value',
      {
        login: (connection, sharedKey) =>
          connection.write(encodeServerInfo({ sharedKey, bytesPerSecond: 0.5, burstBytes: 0 })),
      },
      'TOWPATH_CLIENT_BOX',
      /JSON/,
    ],
  ];
  for (const [what, script, code, text] of refusals) {
    it(`says what is wrong: ${what}`, async () => {
      await start(script);
      await assert.rejects(connect(), refusal(code, text));
    });
  }

  it('gives up on a relay that says nothing, at each step', async () => {
    await start({ upgrade: () => undefined });
    await assert.rejects(connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /answer to the upgrade/));
    await start({ upgrade: (connection) => connection.write(upgradeResponseHead(relay.keys.publicKey)) });
    await assert.rejects(connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /ServerKey/));
    await start({ login: () => undefined });
    await assert.rejects(connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /ServerInfo/));
  });

  it('passes on why no connection came about', async () => {
    const { url } = relay;
    await relay.stop();
    await assert.rejects(connect({ url }), refusal('TOWPATH_CONNECT_TCP', /./));
  });

  it('refuses URLs that are none of a relay', async () => {
    for (const url of ['derp.example.com', 'ftp://derp.example.com/derp']) {
      await assert.rejects(connect({ url }), refusal('TOWPATH_CLIENT_URL', /the relay URL/));
    }
  });

  it('puts no line break into a header', async () => {
    await assert.rejects(connect({ idealNode: 'a\r\nX: y' }), refusal('TOWPATH_CLIENT_UPGRADE', /ideal node/));
  });

  it('refuses a greeting longer than it should take at once, by its header', async () => {
    await start({
      login: (connection) => connection.write(Buffer.from('03ffffffff', 'hex')),
    });
    await assert.rejects(connect(), refusal('TOWPATH_CLIENT_GREETING', /4294967295/));
  });
});

describe('DerpClient', () => {
  it('relays packets between two clients, and one to itself', async () => {
    const { handler, called } = firstCall('packet');
    const a = await connect();
    const b = await connect({ handler });
    assert.equal(a.send(b.publicKey, Buffer.from('hello')), true);
    const [source, buffer, from, to] = (await called) as [Buffer, Buffer, number, number];
    assert.deepEqual(source, a.publicKey);
    assert.equal(buffer.toString('utf8', from, to), 'hello');
  });

  it('measures a ping, and rejects one that is not answered', async () => {
    const client = await connect();
    assert.ok((await client.ping()) > 0);
    relay.script = { ...relay.script, frame: () => undefined };
    await assert.rejects(client.ping(100), refusal('TOWPATH_CLIENT_TIMEOUT', /Pong/));
    const waiting = client.ping();
    client.close();
    await assert.rejects(waiting, refusal('TOWPATH_CLIENT_CLOSED', /./));
    await assert.rejects(client.ping(), refusal('TOWPATH_CLIENT_CLOSED', /./));
  });

  it('decodes the frames of §10.3 (statements 81 and 103) and answers pings (statement 82)', async () => {
    const seen: unknown[] = [];
    const { promise: done, resolve } = Promise.withResolvers<undefined>();
    await start({
      frame(_connection, type, frame) {
        if (type === FrameType.Pong) seen.push(frame.toString('hex'));
        if (type === FrameType.Pong && seen.length > 8) resolve(undefined);
      },
    });
    const aa = Buffer.alloc(32, 0xaa);
    const client = await connect({
      handler: {
        health: (problem) => seen.push(problem),
        restarting: (reconnectInMs, tryForMs) => seen.push([reconnectInMs, tryForMs]),
        peerGone: (key, reason) => seen.push([key.toString('hex'), reason]),
        peerPresent: (key, payload) => seen.push([key.toString('hex'), payload.length]),
        packet: (source, buffer, from, to) => seen.push([source.toString('hex'), buffer.toString('utf8', from, to)]),
      },
    });
    const [connection] = relay.connections;
    const bytes = [
      '1400000003424144',
      '1400000000',
      '15000000080000000100000002',
      '150000000900000001000000027f',
      `0800000021${aa.toString('hex')}01`,
      `0800000020${aa.toString('hex')}`,
      `0900000033${aa.toString('hex')}00000000000000000000ffffc0000201153801`,
      `0500000025${aa.toString('hex')}68656c6c6f`,
      // Short ones are dropped, unknown ones skipped.
      '0500000001aa',
      '080000000100',
      '090000000100',
      '1200000000',
      '1300000000',
      '1500000000',
      '7f00000003010203',
      '0600000000',
      '13000000080000000000000000',
      '1200000009010203040506070809',
    ];
    connection!.write(Buffer.from(bytes.join(''), 'hex'));
    await done;
    const key = aa.toString('hex');
    assert.deepEqual(seen, [
      'BAD',
      '',
      [1, 2],
      [1, 2],
      [key, 1],
      [key, 0],
      [key, 51],
      [key, 'hello'],
      '13000000080102030405060708',
    ]);
    assert.ok(client.isOpen);
  });

  it('ends at a frame of more than 1 MiB (§2.4)', async () => {
    const { handler, called } = firstCall('closed');
    const client = await connect({ handler });
    const [connection] = relay.connections;
    connection!.write(Buffer.from('7f00100001', 'hex'));
    const [error] = await called;
    assert.ok(refusal('TOWPATH_CLIENT_FRAME', /1048577/)(error));
    assert.equal(client.isOpen, false);
    assert.equal(client.send(client.publicKey, Buffer.alloc(1)), false);
    assert.equal(client.notePreferred(true), false);
  });

  it('tells when the relay closes', async () => {
    const { handler, called } = firstCall('closed');
    await connect({ handler });
    for (const connection of relay.connections) connection.stream.finish(1000);
    assert.ok(refusal('TOWPATH_CLIENT_CLOSED', /end/)((await called)[0]));
  });

  it('ends after 120 s of silence (§2.4)', async () => {
    clock.stop();
    const { handler, called } = firstCall('closed');
    await connect({ handler });
    const startMs = clock.now;
    clock.tick(startMs + 119_000);
    assert.equal(open.at(-1)!.isOpen, true);
    clock.tick(startMs + 121_000);
    assert.ok(refusal('TOWPATH_CLIENT_TIMEOUT', /120 s/)((await called)[0]));
  });

  it('keeps a token bucket that the relay announces (statement 64)', async () => {
    await start({
      login: (connection, sharedKey) =>
        connection.write(encodeServerInfo({ sharedKey, bytesPerSecond: 1, burstBytes: 2 * 1037 })),
    });
    const client = await connect();
    const packet = Buffer.alloc(1000);
    for (let i = 0; i < 4; i++) assert.equal(client.send(client.publicKey, packet), true);
    assert.equal(client.limitedPackets, 2);
    // Other frames are not charged.
    assert.equal(client.notePreferred(true), true);
  });

  it('refuses when its queue is full and says when there is room', async () => {
    const drained = Promise.withResolvers<undefined>();
    const client = await connect({ queueBytes: 100_000, handler: { drained: () => drained.resolve(undefined) } });
    for (const connection of relay.connections) connection.stream.pause();
    const packet = Buffer.alloc(50_000);
    let sent = 0;
    while (client.send(client.publicKey, packet)) sent++;
    assert.ok(sent >= 1);
    assert.ok(client.pendingBytes <= 100_000);
    assert.equal(client.sendFrame(Buffer.alloc(100_000)), false);
    for (const connection of relay.connections) connection.stream.resume();
    await drained.promise;
    assert.equal(client.send(client.publicKey, packet), true);
  });

  it('refuses a packet over 65 536 bytes here (§8.6)', async () => {
    const client = await connect();
    assert.throws(() => client.send(client.publicKey, Buffer.alloc(65_537)), { code: 'TOWPATH_CLIENT_PACKET' });
  });

  it('writes all that waits before it closes, corked or not', async () => {
    const seen: number[] = [];
    const all = Promise.withResolvers<undefined>();
    await start({
      frame(_connection, type) {
        seen.push(type);
        if (seen.length === 42) all.resolve(undefined);
      },
    });
    const closed = Promise.withResolvers<unknown>();
    const client = await connect({ handler: { closed: (error) => closed.resolve(error) } });
    client.notePreferred(true);
    client.cork();
    for (let i = 0; i < 40; i++) client.send(client.publicKey, Buffer.alloc(5000));
    client.uncork();
    client.notePreferred(false);
    client.close();
    assert.equal(await closed.promise, null);
    await all.promise;
    assert.deepEqual([seen.at(0), seen.at(-1)], [FrameType.NotePreferred, FrameType.NotePreferred]);
  });

  it('stops and resumes reading', async () => {
    const { handler, called } = firstCall('packet');
    const client = await connect({ handler });
    client.pause();
    client.send(client.publicKey, Buffer.from('later'));
    const [pong] = await Promise.allSettled([client.ping(150)]);
    assert.equal(pong.status, 'rejected');
    client.resume();
    const [, buffer, from, to] = (await called) as [Buffer, Buffer, number, number];
    assert.equal(buffer.toString('utf8', from, to), 'later');
  });

  it('uses the keys it was given', async () => {
    const keys = generateNodeKeyPair();
    assert.deepEqual((await connect({ keys })).publicKey, keys.publicKey);
  });
});
