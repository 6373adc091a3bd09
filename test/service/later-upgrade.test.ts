import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { WebSocket } from 'real-ws';
import type { RefusalReason } from '../../src/observe/counters.ts';
import { sharedBoxKey } from '../../src/wire/box.ts';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { encodeClientInfo } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { TestRelay, untilClosed, within } from './support.ts';

const PROBE = 'GET /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n';
const PING = Buffer.from('abcdefgh');
const PONG = encodeFrame(FrameType.Pong, PING);
const END = '\r\n\r\n';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

let relay: TestRelay;
afterEach(() => relay.stop());

function upgrade(...more: string[]): string {
  return ['GET /derp HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: DERP', ...more].join('\r\n') + END;
}

function webSocket(...more: string[]): string {
  return (
    [
      'GET /derp HTTP/1.1',
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Protocol: derp',
      ...more,
    ].join('\r\n') + END
  );
}

/** Returns ClientInfo of a new client, and a ping. */
function login(): Buffer {
  const keys = generateNodeKeyPair();
  const sharedKey = sharedBoxKey(keys.privateKey, relay.relay.keyPair.publicKey);
  const info = encodeClientInfo({ publicKey: keys.publicKey, sharedKey, info: { version: 2, canAckPings: true } });
  return Buffer.concat([info, encodeFrame(FrameType.Ping, PING)]);
}

/** Collects the bytes of a connection. */
class Peer {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.#bytes = Buffer.concat([this.#bytes, chunk])));
  }

  get text(): string {
    return this.#bytes.toString('latin1');
  }

  async until(condition: (text: string) => boolean, what: string): Promise<void> {
    await relay.until(() => condition(this.text), `${what} in ${JSON.stringify(this.text)}`);
  }

  /** Writes bytes, and waits for the pong of a session. */
  async ponged(...writes: (string | Buffer)[]): Promise<void> {
    for (const bytes of writes) this.socket.write(bytes);
    await this.until((text) => text.endsWith(PONG.toString('latin1')), 'the pong');
  }
}

const TRANSPORTS = { tls: {}, plain: { TOWPATH_TRANSPORT: 'plain' } };

for (const [name, env] of Object.entries(TRANSPORTS)) {
  describe(`an upgrade as a later request, ${name}`, () => {
    const start = async (more: Record<string, string> = {}): Promise<void> => {
      relay = await TestRelay.start({ ...env, ...more });
    };
    const peer = async (): Promise<Peer> => new Peer(await (name === 'tls' ? relay.tls() : relay.tcp()));

    it('starts a session after the answer to another request', async () => {
      await start();
      const one = await peer();
      for (let i = 1; i <= 3; i++) {
        one.socket.write(PROBE);
        await one.until((text) => text.split(END).length === i + 1, `answer ${i}`);
      }
      one.socket.write(upgrade());
      await one.until((text) => text.includes('HTTP/1.1 101 '), 'the upgrade');
      await one.ponged(login());
      assert.equal(relay.relay.sessionCount, 1);
      one.socket.destroy();
      await relay.until(() => relay.relay.counters.openStreams === 0, 'the stream is released');
      assert.equal(relay.relay.counters.connections, 0);
      assert.ok(Object.values(relay.relay.counters.refusals).every((count) => count === 0));
    });

    it('starts one with all that is behind the head, answers first', async () => {
      await start();
      for (const probes of [1, 2, 40]) {
        const one = await peer();
        await one.ponged(Buffer.concat([Buffer.from(PROBE.repeat(probes) + upgrade()), login()]));
        assert.equal(one.text.split('HTTP/1.1 200 OK').length - 1, probes);
        assert.ok(one.text.indexOf('HTTP/1.1 101 ') > one.text.lastIndexOf('HTTP/1.1 200 OK'));
        one.socket.destroy();
      }
    });

    it('starts one byte by byte, and behind a large first piece', async () => {
      await start();
      const slow = await peer();
      for (const byte of Buffer.from(PROBE + upgrade())) slow.socket.write(Buffer.of(byte));
      await slow.ponged(login());
      const large = await peer();
      const unknown = Buffer.alloc(60_005);
      unknown.writeUInt32BE(60_000, 1);
      unknown[0] = 0x7e;
      await large.ponged(
        Buffer.concat([Buffer.from(PROBE + upgrade()), login(), unknown, unknown, unknown]),
        encodeFrame(FrameType.Ping, PING),
      );
      for (const one of [slow, large]) one.socket.destroy();
    });

    it('is the fast start, the old way by the name of WebSocket, and no favourite', async () => {
      await start();
      const fast = await peer();
      await fast.ponged(PROBE, upgrade('Derp-Fast-Start: 1', 'Ideal-Node: other'), login());
      assert.doesNotMatch(fast.text, /HTTP\/1\.1 101/);
      assert.equal(relay.relay.counters.notIdealConnections, 1);
      const old = await peer();
      await old.ponged(PROBE, upgrade().replace('DERP', 'websocket'), login());
      for (const one of [fast, old]) one.socket.destroy();
    });

    it('is a WebSocket', async () => {
      await start();
      const { socket } = await peer();
      socket.write(PROBE);
      await within(once(socket, 'data'), 'the answer');
      socket.removeAllListeners('data');
      const ws = new WebSocket(`ws://127.0.0.1:${relay.port}/derp`, ['derp'], { createConnection: () => socket });
      const received: Buffer[] = [];
      ws.on('message', (data: Buffer) => received.push(data));
      await within(once(ws, 'open'), 'the WebSocket');
      ws.send(login());
      await relay.until(() => Buffer.concat(received).includes(PONG), 'the pong');
      assert.equal(relay.relay.counters.websocketAccepts, 1);
      ws.terminate();
    });

    it('is not looked at behind the last answer of a connection', async () => {
      await start();
      const last = [
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
        'GET / HTTP/1.0\r\n\r\n',
      ];
      for (const first of last) {
        const { socket } = await peer();
        const all = untilClosed(socket);
        socket.write(Buffer.concat([Buffer.from(first + upgrade()), login()]));
        const text = (await all).toString('latin1');
        assert.match(text, /^HTTP\/1\.1 404 /);
        assert.doesNotMatch(text, /HTTP\/1\.1 101/);
      }
      assert.equal(relay.relay.counters.accepts, 0);
    });

    it('is refused when it could be read in two ways', async () => {
      await start();
      for (const more of ['Content-Length: 1', 'Transfer-Encoding: chunked', 'Upgrade: websocket', 'Host: y']) {
        for (const before of ['', PROBE]) {
          const { socket } = await peer();
          const all = untilClosed(socket);
          socket.write(before + upgrade(more));
          assert.match((await all).toString('latin1').split('HTTP/1.1 ').at(-1)!, /^400 /, before + more);
        }
      }
      assert.equal(relay.relay.counters.refusals.head_invalid, 8);
      assert.equal(relay.relay.counters.accepts, 0);
    });

    it('ends at its deadline when nothing follows', async () => {
      await start({ TOWPATH_LIMITS_DERP_HANDSHAKE_MS: '300' });
      const one = await peer();
      const closed = untilClosed(one.socket);
      one.socket.write(PROBE + upgrade());
      await closed;
      assert.equal(relay.relay.counters.refusals.handshake_timeout, 1);
    });

    it('is WebSocket 13 or nothing, with a key, as the first request or a later one', async () => {
      await start();
      const answers = async (request: string, reason: RefusalReason): Promise<string> => {
        const before = relay.relay.counters.refusals[reason];
        const { socket } = await peer();
        const all = untilClosed(socket);
        socket.write(request);
        const text = (await all).toString('latin1');
        assert.equal(relay.relay.counters.refusals[reason], before + 1);
        return text.slice(text.lastIndexOf('HTTP/1.1 '));
      };
      const others = ['8', '7', '0', '14', '013', '13, 8', '13.0', 'x', ''].map((one) => [
        `Sec-WebSocket-Version: ${one}`,
      ]);
      for (const version of [[], ...others]) {
        for (const first of ['', PROBE]) {
          const text = await answers(first + webSocket(KEY, ...version), 'websocket_refused');
          assert.match(text, /^HTTP\/1\.1 426 Upgrade Required\r\n/, version.join());
          assert.match(text, /^Sec-WebSocket-Version: 13\r$/m);
          assert.match(text, /^Upgrade: websocket\r$/m);
        }
      }
      const keys = [
        'dGhlIHNhbXBsZSBub25jZQ',
        'x',
        'dGhlIHNhbXBsZSBub25jZQ==x',
        'dGhlIHNhbXBsZSBub25jZ===',
        `${'a'.repeat(21)}!==`,
        '',
      ];
      for (const key of [[], ...keys.map((one) => [`Sec-WebSocket-Key: ${one}`])]) {
        const text = await answers(webSocket('Sec-WebSocket-Version: 13', ...key), 'websocket_invalid');
        assert.match(text, /^HTTP\/1\.1 400 /, key.join());
      }
      assert.ok(
        relay.lines.some((line) => line.includes('websocket_refused') && line.includes('a version other than 13')),
      );
      assert.equal(relay.relay.counters.websocketAccepts, 0);
    });
  });
}

describe('a connection of a proxy that carries several clients', () => {
  const from = (ip: string): string => `X-Forwarded-For: ${ip}`;
  const probe = (...more: string[]): string => ['GET /derp/probe HTTP/1.1', 'Host: x', ...more].join('\r\n') + END;
  const PLAIN = { TOWPATH_TRANSPORT: 'plain', TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '1' };
  const LOG = { TOWPATH_LOG_LEVEL: 'debug' };

  it('counts for the client that each request names, with the limits of that client', async () => {
    relay = await TestRelay.start({ ...PLAIN, ...LOG });
    const held = new Peer(await relay.tcp());
    await held.ponged(upgrade(from('203.0.113.9')), login());
    const shared = new Peer(await relay.tcp());
    shared.socket.write(probe(from('203.0.113.10')));
    await shared.until((text) => text.includes(' 200 '), 'the first answer');
    await shared.ponged(upgrade(from('203.0.113.11')), login());
    await relay.until(
      () =>
        ['203.0.113.9:0', '203.0.113.11:0'].every((who) =>
          relay.lines.some((line) => line.includes(`"from":"${who}"`)),
        ),
      'the log names both clients',
    );
    const third = new Peer(await relay.tcp());
    const all = untilClosed(third.socket);
    third.socket.write(probe(from('203.0.113.12')));
    await third.until((text) => text.includes(' 200 '), 'the first answer');
    third.socket.write(upgrade(from('203.0.113.9')));
    assert.match((await all).toString('latin1'), / 429 Too Many Requests\r\n/);
    assert.equal(relay.relay.counters.refusals.source_limit, 1);
    // The place of the client of an earlier request is free again.
    const again = new Peer(await relay.tcp());
    await again.ponged(upgrade(from('203.0.113.10')), login());
    for (const one of [held, shared, again]) one.socket.destroy();
    await relay.until(() => relay.relay.counters.openStreams === 0, 'all gone');
    for (const ip of ['203.0.113.9', '203.0.113.10', '203.0.113.11', '203.0.113.12']) {
      const one = new Peer(await relay.tcp());
      await one.ponged(upgrade(from(ip)), login());
      one.socket.destroy();
    }
  });

  it('is the proxy’s own when a request names nobody', async () => {
    relay = await TestRelay.start(PLAIN);
    const one = new Peer(await relay.tcp());
    one.socket.write(probe(from('203.0.113.9')));
    await one.until((text) => text.includes(' 200 '), 'the first answer');
    await one.ponged(upgrade(), login());
    const other = new Peer(await relay.tcp());
    await other.ponged(upgrade(from('203.0.113.9')), login());
    for (const peer of [one, other]) peer.socket.destroy();
  });

  it('looks at every header of a request, however many there are', async () => {
    relay = await TestRelay.start({ ...PLAIN, TOWPATH_LIMITS_REQUEST_HEAD_BYTES: '65536' });
    const held = new Peer(await relay.tcp());
    await held.ponged(upgrade(from('203.0.113.9')), login());
    const one = await relay.tcp();
    const all = untilClosed(one);
    const many = Array.from({ length: 5000 }, () => 'a: b');
    one.write(probe() + upgrade(...many, from('203.0.113.9')));
    assert.match((await all).toString('latin1'), / 429 Too Many Requests\r\n/);
    held.socket.destroy();
  });
});
