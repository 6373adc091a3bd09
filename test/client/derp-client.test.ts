import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameType } from '../../src/wire/frames.ts';
import { encodeServerInfo } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { firstCall, refusal, RelayFixture } from './support.ts';

const test = new RelayFixture();

describe('DerpClient', () => {
  it('relays packets between two clients, and one to itself', async () => {
    const { handler, called } = firstCall('packet');
    const a = await test.connect();
    const b = await test.connect({ handler });
    assert.equal(a.send(b.publicKey, Buffer.from('hello')), true);
    const [source, buffer, from, to] = (await called) as [Buffer, Buffer, number, number];
    assert.deepEqual(source, a.publicKey);
    assert.equal(buffer.toString('utf8', from, to), 'hello');
  });

  it('measures a ping, and rejects one that is not answered', async () => {
    const client = await test.connect();
    assert.ok((await client.ping()) > 0);
    test.relay.script = { ...test.relay.script, frame: () => undefined };
    await assert.rejects(client.ping(100), refusal('TOWPATH_CLIENT_TIMEOUT', /Pong/));
    const waiting = client.ping();
    client.close();
    await assert.rejects(waiting, refusal('TOWPATH_CLIENT_CLOSED', /./));
    await assert.rejects(client.ping(), refusal('TOWPATH_CLIENT_CLOSED', /./));
  });

  it('decodes the frames of §10.3 (statements 81 and 103) and answers pings (statement 82)', async () => {
    const seen: unknown[] = [];
    const { promise: done, resolve } = Promise.withResolvers<undefined>();
    await test.start({
      frame(_connection, type, frame) {
        if (type === FrameType.Pong) seen.push(frame.toString('hex'));
        if (type === FrameType.Pong && seen.length > 8) resolve(undefined);
      },
    });
    const aa = Buffer.alloc(32, 0xaa);
    const client = await test.connect({
      handler: {
        health: (problem) => seen.push(problem),
        restarting: (reconnectInMs, tryForMs) => seen.push([reconnectInMs, tryForMs]),
        peerGone: (key, reason) => seen.push([key.toString('hex'), reason]),
        peerPresent: (buffer, from, to) => seen.push([buffer.toString('hex', from, from + 32), to - from]),
        packet: (source, buffer, from, to) => seen.push([source.toString('hex'), buffer.toString('utf8', from, to)]),
      },
    });
    const [connection] = test.relay.connections;
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
    const client = await test.connect({ handler });
    const [connection] = test.relay.connections;
    connection!.write(Buffer.from('7f00100001', 'hex'));
    const [error] = await called;
    assert.ok(refusal('TOWPATH_CLIENT_FRAME', /1048577/)(error));
    assert.equal(client.isOpen, false);
    assert.equal(client.send(client.publicKey, Buffer.alloc(1)), false);
    assert.equal(client.notePreferred(true), false);
  });

  it('tells when the relay closes', async () => {
    const { handler, called } = firstCall('closed');
    await test.connect({ handler });
    for (const connection of test.relay.connections) connection.stream.finish(1000);
    assert.ok(refusal('TOWPATH_CLIENT_CLOSED', /end/)((await called)[0]));
  });

  it('ends after 120 s of silence (§2.4)', async () => {
    test.clock.stop();
    const { handler, called } = firstCall('closed');
    const client = await test.connect({ handler });
    const startMs = test.clock.now;
    test.clock.tick(startMs + 119_000);
    assert.equal(client.isOpen, true);
    test.clock.tick(startMs + 121_000);
    assert.ok(refusal('TOWPATH_CLIENT_TIMEOUT', /120 s/)((await called)[0]));
  });

  it('keeps a token bucket that the relay announces (statement 64)', async () => {
    await test.start({
      login: (connection, sharedKey) =>
        connection.write(encodeServerInfo({ sharedKey, bytesPerSecond: 1, burstBytes: 2 * 1037 })),
    });
    const client = await test.connect();
    const packet = Buffer.alloc(1000);
    for (let i = 0; i < 4; i++) assert.equal(client.send(client.publicKey, packet), true);
    assert.equal(client.limitedPackets, 2);
    // Other frames do not use the rate.
    assert.equal(client.notePreferred(true), true);
  });

  it('refuses when its queue is full and says when there is room', async () => {
    const drained = Promise.withResolvers<undefined>();
    const client = await test.connect({ queueBytes: 100_000, handler: { drained: () => drained.resolve(undefined) } });
    for (const connection of test.relay.connections) connection.stream.pause();
    const packet = Buffer.alloc(50_000);
    let sent = 0;
    while (client.send(client.publicKey, packet)) sent++;
    assert.ok(sent >= 1);
    assert.ok(client.pendingBytes <= 100_000);
    assert.equal(client.sendFrame(Buffer.alloc(100_000)), false);
    for (const connection of test.relay.connections) connection.stream.resume();
    await drained.promise;
    assert.equal(client.send(client.publicKey, packet), true);
  });

  it('refuses a packet over 65 536 bytes here (§8.6)', async () => {
    const client = await test.connect();
    assert.throws(() => client.send(client.publicKey, Buffer.alloc(65_537)), { code: 'TOWPATH_CLIENT_PACKET' });
  });

  it('writes all that waits before it closes, corked or not', async () => {
    const seen: number[] = [];
    const all = Promise.withResolvers<undefined>();
    await test.start({
      frame(_connection, type) {
        seen.push(type);
        if (seen.length === 42) all.resolve(undefined);
      },
    });
    const closed = Promise.withResolvers<unknown>();
    const client = await test.connect({ handler: { closed: (error) => closed.resolve(error) } });
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
    const client = await test.connect({ handler });
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
    assert.deepEqual((await test.connect({ keys })).publicKey, keys.publicKey);
  });
});
