import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { encodeFrame, encodeServerKey, FrameType, KEEP_ALIVE_FRAME } from '../../src/wire/frames.ts';
import { encodeServerInfo, upgradeResponseHead } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import type { FakeConnection, Script } from './fake-relay.ts';
import { firstCall, refusal, RelayFixture } from './support.ts';

const test = new RelayFixture();

describe('connectDerp', () => {
  it('sends the request of §1.1 and logs in', async () => {
    const client = await test.connect({ idealNode: '900a', info: { isProber: true } });
    const [connection] = test.relay.connections;
    assert.equal(
      connection!.head,
      `GET /derp HTTP/1.1\r\nHost: 127.0.0.1:${test.relay.port}\r\nUser-Agent: towpath\r\n` +
        'Connection: Upgrade\r\nIdeal-Node: 900a\r\nUpgrade: DERP',
    );
    assert.deepEqual(connection!.info, { meshKey: null, version: 2, canAckPings: true, isProber: true, appName: '' });
    assert.deepEqual(connection!.publicKey, client.publicKey);
    assert.deepEqual(client.facts.serverKey, test.relay.keys.publicKey);
    assert.equal(client.facts.mode, 'upgrade');
    assert.equal(client.facts.tls, null);
  });

  it('keeps the bytes after the head, however they are cut', async () => {
    await test.start({
      upgrade(connection) {
        const { publicKey } = test.relay.keys;
        const bytes = Buffer.concat([Buffer.from(upgradeResponseHead(publicKey)), encodeServerKey(publicKey)]);
        const cut = bytes.length - 20;
        connection.write(bytes.subarray(0, cut));
        setImmediate(() => connection.write(bytes.subarray(cut)));
      },
    });
    assert.ok((await test.connect()).isOpen);
  });

  it('delivers what comes in the same read as ServerInfo', async () => {
    await test.start({
      login(connection, sharedKey) {
        connection.write(
          encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0 }),
          encodeFrame(FrameType.Health, Buffer.from('BAD')),
        );
      },
    });
    const { handler, called } = firstCall('health');
    await test.connect({ handler });
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
      await test.start(script);
      await assert.rejects(test.connect(), refusal(code, text));
    });
  }

  it('checks that the WebSocket it gets is the one it asked for', async () => {
    const head = (connection: FakeConnection, more: string): void => {
      const key = /Sec-WebSocket-Key: (.*)\r\n/.exec(connection.head)![1]!;
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      connection.write(`HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n${more}\r\n`);
    };
    await test.start({ upgrade: (connection) => head(connection, '') });
    await assert.rejects(test.connect({ websocket: true }), refusal('TOWPATH_CLIENT_UPGRADE', /subprotocol "derp"/));
    await test.start({
      upgrade(connection) {
        head(connection, 'Sec-WebSocket-Protocol: derp\r\n');
        connection.stream.abort();
      },
    });
    await assert.rejects(test.connect({ websocket: true }), refusal('TOWPATH_CLIENT_GREETING', /ended before it/));
  });

  it('gives up on a relay that says nothing, at each step', async () => {
    await test.start({ upgrade: () => undefined });
    await assert.rejects(test.connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /answer to the upgrade/));
    await test.start({ upgrade: (connection) => connection.write(upgradeResponseHead(test.relay.keys.publicKey)) });
    await assert.rejects(test.connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /ServerKey/));
    await test.start({ login: () => undefined });
    await assert.rejects(test.connect({ timeoutMs: 50 }), refusal('TOWPATH_CLIENT_TIMEOUT', /ServerInfo/));
  });

  it('passes on why no connection came about', async () => {
    const { url } = test.relay;
    await test.relay.stop();
    await assert.rejects(test.connect({ url }), refusal('TOWPATH_CONNECT_TCP', /./));
  });

  it('refuses URLs that are none of a relay', async () => {
    for (const url of ['derp.example.com', 'ftp://derp.example.com/derp']) {
      await assert.rejects(test.connect({ url }), refusal('TOWPATH_CLIENT_URL', /the relay URL/));
    }
  });

  it('puts no line break into a header', async () => {
    await assert.rejects(test.connect({ idealNode: 'a\r\nX: y' }), refusal('TOWPATH_CLIENT_UPGRADE', /ideal node/));
  });

  it('refuses a greeting longer than it should take at once, by its header', async () => {
    await test.start({
      login: (connection) => connection.write(Buffer.from('03ffffffff', 'hex')),
    });
    await assert.rejects(test.connect(), refusal('TOWPATH_CLIENT_GREETING', /4294967295/));
  });
});

describe('fast start (§1.5)', () => {
  const verify = { kind: 'none' } as const;

  it('sends the request and ClientInfo together, and reads no response', async () => {
    await test.startSecure({});
    const client = await test.connect({ verify });
    assert.equal(client.facts.mode, 'fast-start');
    assert.deepEqual(client.facts.serverKey, test.relay.keys.publicKey);
    const [connection] = test.relay.connections;
    assert.match(connection!.head, /\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: DERP$/);
    assert.ok((await client.ping()) > 0);
  });

  it('can be switched off', async () => {
    await test.startSecure({});
    assert.equal((await test.connect({ verify, fastStart: false })).facts.mode, 'upgrade');
  });

  it('takes a 101 for an answer too (statement 102)', async () => {
    await test.startSecure({
      upgrade: (connection) =>
        connection.write(upgradeResponseHead(test.relay.keys.publicKey), encodeServerKey(test.relay.keys.publicKey)),
    });
    assert.ok((await test.connect({ verify })).isOpen);
  });

  it('says which status an HTTP answer has', async () => {
    await test.startSecure({ upgrade: (connection) => connection.write('HTTP/1.1 404 Not Found\r\n\r\n') });
    await assert.rejects(test.connect({ verify }), refusal('TOWPATH_CLIENT_HTTP', /HTTP 404 Not Found/));
  });

  it('refuses a relay whose greeting has another key than its meta-certificate', async () => {
    await test.startSecure({ login: () => undefined, frame: () => undefined }, generateNodeKeyPair().publicKey);
    await assert.rejects(
      test.connect({ verify }),
      refusal('TOWPATH_CLIENT_GREETING', /not the one in its meta-certificate/),
    );
  });

  it('asks for the 101 where the meta-certificate has a key that nobody can share', async () => {
    await test.startSecure({}, Buffer.alloc(32, 0).fill(1, 0, 1));
    assert.equal((await test.connect({ verify })).facts.mode, 'upgrade');
  });

  it('knows a relay that does not admit the key', async () => {
    await test.startSecure({ login: (connection) => connection.stream.finish(1000) });
    await assert.rejects(test.connect({ verify }), refusal('TOWPATH_CLIENT_REFUSED', /does not admit/));
  });

  it('takes a close without a word for a refusal, most likely', async () => {
    await test.startSecure({ upgrade: (connection) => connection.stream.finish(1000) });
    await assert.rejects(test.connect({ verify }), refusal('TOWPATH_CLIENT_UPGRADE', /probably it does not admit/));
    const upgrade = test.connect({ verify, fastStart: false });
    await assert.rejects(upgrade, refusal('TOWPATH_CLIENT_UPGRADE', /without an answer$/));
  });
});
