import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../../src/certificates/make-certificate.ts';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { encodeFrame, encodeHealth, encodePeerGone, FrameType, PeerGoneReason } from '../../../src/wire/frames.ts';
import { encodePing } from '../../../src/wire/client-frames.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { Attacked } from './attacked.ts';
import { presentFrame, ScriptedSibling } from './scripted-sibling.ts';
import type { RegionRelay } from './support.ts';

/** The header of a frame, without its payload. */
function header(type: number, bytes: number): Buffer {
  const frame = Buffer.alloc(5);
  frame[0] = type;
  frame.writeUInt32BE(bytes, 1);
  return frame;
}

function stranger(): Buffer {
  return generateNodeKeyPair().publicKey;
}

suite('a relay that is linked to one that does wrong', { concurrency: 2 }, () => {
  const endings: Readonly<Record<string, (socket: Socket) => void>> = {
    'random bytes': (socket) =>
      socket.write(Buffer.concat([header(FrameType.PeerPresent, 0xffff_ffff), randomBytes(5000)])),
    'a frame of more than 1 MiB': (socket) => socket.write(header(FrameType.RecvPacket, 1_048_577)),
    'half a frame, and the end': (socket) => socket.end(header(FrameType.PeerPresent, 51)),
    'a reset': (socket) => socket.resetAndDestroy(),
  };
  for (const [name, script] of Object.entries(endings)) {
    test(`${name}: the link ends, and is tried again after a growing pause`, async (t) => {
      const attacked = await Attacked.start(t);
      const sibling = await ScriptedSibling.start(t, script);
      attacked.link(sibling);
      const startedAt = performance.now();
      // After two resets, the relay assumes that the mesh key was refused, and the pause is long.
      await attacked.until(() => sibling.connects >= (name === 'a reset' ? 2 : 3), 'it is tried again');
      // The shortest pause is half of 100 ms, doubled with each failure; the clock ticks each 100 ms.
      assert.ok(performance.now() - startedAt >= 50 * (sibling.connects - 1));
      // A reset may overtake earlier bytes, and then looks like a refusal.
      if (name !== 'a reset') assert.equal(attacked.relay.relay.links()[0]!.failures.refused_key, 0);
      await attacked.stillServes();
      await attacked.leavesNothing();
    });
  }

  const greetings: Readonly<Record<string, (socket: Socket) => void>> = {
    'no HTTP': (socket) => socket.write(randomBytes(2000)),
    'a response head without end': (socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n');
      const drip = setInterval(() => socket.write(`X: ${'a'.repeat(1000)}\r\n`), 1);
      socket.on('close', () => clearInterval(drip));
    },
    'a greeting that is too long': (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n'),
          header(FrameType.ServerKey, 2000),
        ]),
      ),
    'a ServerInfo that does not open': (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n'),
          encodeFrame(FrameType.ServerKey, Buffer.from('DERP\u{1f511}'), stranger()),
          encodeFrame(FrameType.ServerInfo, randomBytes(64)),
        ]),
      ),
  };
  for (const [name, script] of Object.entries(greetings)) {
    test(`${name}: there is no link`, async (t) => {
      const attacked = await Attacked.start(t);
      const sibling = await ScriptedSibling.startRaw(t, script);
      attacked.link(sibling);
      await attacked.until(() => attacked.relay.events.length >= 2, 'it has failed twice');
      assert.ok(attacked.relay.events.every(({ kind }) => kind === 'unreachable'));
      assert.equal(attacked.relay.relay.links()[0]!.connects, 0);
      await attacked.stillServes();
    });
  }

  test('frames that are too short, that clients get, and pings without end: the link stays', async (t) => {
    const attacked = await Attacked.start(t);
    const sibling = await ScriptedSibling.start(t, (socket) => {
      for (const type of [FrameType.PeerPresent, FrameType.PeerGone, FrameType.RecvPacket, FrameType.Ping, 0x7f]) {
        for (const bytes of [0, 1, 7, 31]) socket.write(encodeFrame(type as FrameType, Buffer.alloc(bytes)));
      }
      const frames = [
        encodeFrame(FrameType.RecvPacket, stranger(), Buffer.from('for nobody')),
        encodeHealth('ill'),
        encodeFrame(FrameType.Restarting, Buffer.alloc(8)),
        encodePing(Buffer.alloc(8)),
        encodeFrame(FrameType.PeerPresent, stranger()),
      ];
      socket.write(Buffer.concat(Array.from({ length: 2000 }, () => frames).flat()));
      socket.write(presentFrame(attacked.clients[0]!.publicKey));
    });
    attacked.link(sibling);
    const { router } = attacked.relay.relay;
    await attacked.until(() => router.remote.has(attacked.clients[0]!.publicKey), 'all of it is read');
    assert.deepEqual([attacked.linkState, sibling.connects], ['open', 1]);
    await attacked.stillServes();
    await attacked.leavesNothing();
  });

  test('it says that clients of ours are with it, and that they are gone: they stay ours', async (t) => {
    const attacked = await Attacked.start(t);
    await attacked.stillServes();
    const keys = attacked.clients.map(({ publicKey }) => publicKey);
    const last = stranger();
    const sibling = await ScriptedSibling.start(t, (socket) => {
      for (const key of keys) socket.write(encodePeerGone(key, PeerGoneReason.Disconnected));
      const moves = [...keys.map(presentFrame), ...keys.map((key) => encodePeerGone(key, PeerGoneReason.Disconnected))];
      socket.write(Buffer.concat(Array.from({ length: 500 }, () => moves).flat()));
      for (const key of [...keys, last]) socket.write(presentFrame(key));
    });
    attacked.link(sibling);
    await attacked.until(() => attacked.relay.knows(last), 'all of it is read');
    await attacked.stillServes();
    assert.equal(sibling.received.indexOf(Buffer.from('after attack')), -1, 'no packet for them went there');
    await attacked.leavesNothing();
  });

  test('it invents tens of thousands of clients, and takes them back: local clients notice nothing', async (t) => {
    const attacked = await Attacked.start(t);
    const count = 10_000;
    const keys = Array.from({ length: count }, () => randomBytes(32));
    let isGone = false;
    const sibling = await ScriptedSibling.start(t, (socket) => {
      socket.write(Buffer.concat(keys.map(presentFrame)));
      if (isGone) socket.write(Buffer.concat(keys.map((key) => encodePeerGone(key, PeerGoneReason.Disconnected))));
    });
    attacked.link(sibling);
    const { counters } = attacked.relay.relay;
    await attacked.until(() => counters.remoteKeys === count, 'all are known');
    await attacked.stillServes();
    isGone = true;
    attacked.link();
    await attacked.until(() => counters.remoteKeys === 0, 'they are forgotten with the link');
    attacked.link(sibling);
    await attacked.until(() => sibling.connects === 2 && attacked.linkState === 'open', 'linked again');
    await attacked.until(() => counters.remoteKeys === 0, 'all have left');
    await attacked.stillServes();
    await attacked.leavesNothing();
  });

  for (const [name, read] of [
    ['does not read', (): void => undefined],
    ['reads one byte at a time', (socket: Socket): void => void socket.read(1)],
  ] as const) {
    test(`one that ${name} gets a queue that drops its oldest, and costs no packet of anyone else`, async (t) => {
      const attacked = await Attacked.start(t);
      const away = stranger();
      const sibling = await ScriptedSibling.start(t, (socket) => {
        socket.write(presentFrame(away));
        socket.removeAllListeners('data');
        socket.pause();
        const reading = setInterval(() => read(socket), 50);
        socket.on('close', () => clearInterval(reading));
      });
      attacked.link(sibling);
      await attacked.until(() => attacked.relay.knows(away), 'its client is known');
      const [sender] = attacked.clients as [DerpClient];
      const packet = Buffer.alloc(60_000);
      const { queueBytes } = attacked.relay.mesh;
      const link = (): ReturnType<RegionRelay['relay']['links']>[number] => attacked.relay.relay.links()[0]!;
      await attacked.until(() => {
        for (let i = 0; i < 20; i++) sender.send(away, packet);
        assert.ok(link().queuedBytes <= queueBytes + 65_536);
        return link().droppedPackets > 50;
      }, 'packets are dropped');
      await attacked.stillServes();
    });
  }

  test('a way to ourselves through another port is noticed, and closed', async (t) => {
    const attacked = await Attacked.start(t);
    const proxy = createServer((socket) => {
      const onward = connect(attacked.relay.port, '127.0.0.1');
      for (const [one, other] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        one.on('error', () => undefined);
        one.on('close', () => other.destroy());
      }
      socket.pipe(onward).pipe(socket);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    t.after(() => proxy.close());
    const { port } = proxy.address() as AddressInfo;
    attacked.relay.apply({ with: [{ ...attacked.relay.entry, name: 'proxy', port }] });
    await attacked.until(() => attacked.linkState === 'self', 'it is noticed');
    await attacked.until(() => attacked.relay.relay.sessionCount === 2, 'only the clients are left');
    await attacked.stillServes();
  });

  test('one with a wrong certificate is shown neither our name nor the mesh key', async (t) => {
    const attacked = await Attacked.start(t);
    const key = generateCertificateKey();
    const dates = { notBefore: new Date(Date.now() - 3_600_000), notAfter: new Date(Date.now() + 3_600_000) };
    const cert = makeSelfSigned({ names: ['127.0.0.1'], ...dates }, key);
    let shown = 0;
    let tries = 0;
    const server = createTlsServer({ cert, key: formatCertificateKey(key) }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => (shown += chunk.length));
    });
    server.on('connection', () => tries++);
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const entry = { name: 'tls', host: '127.0.0.1', port, isSecure: true };
    attacked.relay.apply({
      with: [
        { ...entry, pin: 'ab'.repeat(32) },
        { ...entry, name: 'by authority', host: '127.0.0.1', pin: null },
      ],
    });
    await attacked.until(() => attacked.relay.events.length >= 4, 'each has failed twice');
    assert.ok(attacked.relay.events.every(({ kind }) => kind === 'unreachable'));
    assert.ok(tries >= 4);
    assert.equal(shown, 0);
    await attacked.stillServes();
  });
});
