import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import type { Socket } from 'node:net';
import { sharedBoxKey } from '../../src/wire/box.ts';
import { encodeClientInfo } from '../../src/wire/handshake.ts';
import { generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import type { RefusalReason } from '../../src/observe/counters.ts';
import { TestRelay, untilClosed } from './support.ts';

const UPGRADE = 'GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n';

suite('bad input from the network', () => {
  let relay: TestRelay;
  /** Its deadlines are short. On a busy machine they could pass before anything else that a test sends is read. */
  let hasty: TestRelay;
  before(async () => {
    relay = await TestRelay.start({ TOWPATH_ADMISSION_DENY_APPS: 'scanner, old app' });
    hasty = await TestRelay.start({
      TOWPATH_LIMITS_TLS_HANDSHAKE_MS: '700',
      TOWPATH_LIMITS_REQUEST_HEAD_MS: '700',
      TOWPATH_LIMITS_DERP_HANDSHAKE_MS: '700',
    });
  });
  after(async () => {
    await relay.stop();
    await hasty.stop();
  });

  /** Makes the ClientInfo frame of a new client, for this relay or for another key. */
  function clientInfo(
    serverKey: Buffer = relay.relay.keyPair.publicKey,
    keys: NodeKeyPair = generateNodeKeyPair(),
    appName = '',
  ): Buffer {
    const sharedKey = sharedBoxKey(keys.privateKey, serverKey);
    return encodeClientInfo({ publicKey: keys.publicKey, sharedKey, info: { appName } });
  }

  async function refused(reason: RefusalReason, socket: Socket, ...writes: (string | Buffer)[]): Promise<Buffer> {
    const count = (): number => relay.relay.counters.refusals[reason] + hasty.relay.counters.refusals[reason];
    const before = count();
    const closed = untilClosed(socket);
    for (const bytes of writes) socket.write(bytes);
    const answer = await closed;
    await relay.until(() => count() > before, `the refusal ${reason} is counted`);
    return answer;
  }

  test('TLS garbage', async () => {
    // Random bytes may begin like a record whose rest is awaited.
    await refused('tls_error', await relay.tcp(), Buffer.alloc(512, 'no TLS'));
  });

  test('a connection that says nothing, before and after TLS', async () => {
    await refused('tls_timeout', await hasty.tcp());
    await refused('head_timeout', await hasty.tls());
  });

  test('a head that comes slowly', async () => {
    const socket = await hasty.tls();
    const drip = setInterval(() => socket.write('G'), 50);
    await refused('head_timeout', socket);
    clearInterval(drip);
  });

  test('a head that is too large, or none', async () => {
    const large = await refused('head_too_large', await relay.tls(), `GET / HTTP/1.1\r\nX: ${'a'.repeat(9000)}`);
    assert.match(large.toString(), /^HTTP\/1\.1 431 /);
    for (const head of [
      'nonsense\r\n\r\n',
      'GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      'GET / HTTP/1.1\r\n folded: x\r\n\r\n',
    ]) {
      assert.match((await refused('head_invalid', await relay.tls(), head)).toString(), /^HTTP\/1\.1 400 /);
    }
    const coded = await refused('head_invalid', await relay.tls(), 'GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n');
    assert.match(coded.toString(), /^HTTP\/1\.1 501 /);
  });

  test('§9.12 a client that sends nothing after the upgrade', async () => {
    const answer = await refused('handshake_timeout', await hasty.tls(), UPGRADE);
    assert.equal(answer.toString('hex', 0, 5), '0100000028', 'it got the greeting and nothing else');
    assert.equal(answer.length, 45);
  });

  test('§9.13 §9.14 §9.11 a first frame that is not ClientInfo, too short, too long, for another key, or not JSON', async () => {
    const wrongLength = (bytes: number): Buffer => {
      const header = Buffer.from('0200000000', 'hex');
      header.writeUInt32BE(bytes, 1);
      return header;
    };
    await refused('client_info_type', await relay.tls(), UPGRADE, Buffer.from('0600000000', 'hex'));
    await refused('client_info_length', await relay.tls(), UPGRADE, wrongLength(55));
    await refused('client_info_length', await relay.tls(), UPGRADE, wrongLength(262_145));
    await refused('client_info_box', await relay.tls(), UPGRADE, clientInfo(generateNodeKeyPair().publicKey));
    const zero = clientInfo();
    zero.fill(0, 5, 37);
    await refused('client_info_key', await relay.tls(), UPGRADE, zero);
    const lowOrder = clientInfo();
    lowOrder.fill(0, 5, 37);
    lowOrder[5] = 1;
    await refused('client_info_key', await relay.tls(), UPGRADE, lowOrder);
  });

  test('§12 a program with a name that is too long, unprintable or denied', async () => {
    const withName = (name: string): Buffer => clientInfo(undefined, undefined, name);
    for (const name of ['x'.repeat(33), 'a\x1b[2J', 'ä']) {
      await refused('client_info_app', await relay.tls(), UPGRADE, withName(name));
    }
    await refused('app_denied', await relay.tls(), UPGRADE, withName('old app'));
    for (const appName of ['x'.repeat(32), 'Scanner', '']) {
      const client = await relay.client({ info: { appName } });
      client.close();
    }
    const connected = relay.lines.filter((line) => line.includes('"app":"Scanner"'));
    assert.equal(connected.length, 1, 'the log names the program');
  });

  test('§9.19 §9.32 §9.49 §9.96 frames that no client may send end its connection', async () => {
    const frames: [RefusalReason, string][] = [
      ['bad_frame_length', '0400010021'],
      ['bad_frame_length', '040000001f'],
      ['bad_frame_length', '0700000000'],
      ['bad_frame_length', '0700000002'],
      ['bad_frame_length', '1200000007'],
      ['bad_frame_length', '12000003e9'],
      ['no_mesh_rights', '1000000000'],
      ['no_mesh_rights', '1100000020'],
      ['no_mesh_rights', '0a00000045'],
      ['frame_too_large', '7f00010021'],
      ['frame_too_large', '0500010021'],
      ['frame_too_large', '7fffffffff'],
    ];
    for (const [reason, frame] of frames) {
      await refused(reason, await relay.tls(), UPGRADE, clientInfo(), Buffer.from(frame, 'hex'));
    }
  });

  test('§9.5 §12 unknown frames of up to 65568 bytes are skipped, in whatever pieces they come', async () => {
    const client = await relay.client();
    const unknown = Buffer.alloc(5 + 65_568);
    unknown[0] = 0x7f;
    unknown.writeUInt32BE(65_568, 1);
    client.sendFrame(unknown);
    client.sendFrame(Buffer.from('13000000080102030405060708', 'hex'));
    assert.ok((await client.ping()) >= 0);
    client.close();
  });

  test('random bytes as frames, and half a frame before the end, harm nobody', async () => {
    const client = await relay.client();
    for (let i = 0; i < 30; i++) {
      const socket = await relay.tls();
      const closed = untilClosed(socket);
      socket.write(UPGRADE);
      socket.write(clientInfo());
      socket.write(randomBytes(1 + i * 37));
      socket.end();
      await closed;
    }
    await client.ping();
    client.close();
    await relay.until(() => relay.relay.sessionCount === 0, 'all sessions end');
    assert.equal(relay.relay.counters.connections, 0);
    assert.equal(relay.relay.counters.localKeys, 0);
  });

  test('many silent connects: each is counted, and descriptors return', async () => {
    const { counters } = hasty.relay;
    const count = 300;
    const refusals = (): number => counters.refusals.tls_timeout + counters.refusals.tls_closed;
    const counted = refusals();
    const descriptors = readdirSync('/proc/self/fd').length;
    const sockets = await Promise.all(Array.from({ length: count }, () => hasty.tcp()));
    await Promise.all(sockets.filter((socket) => !socket.closed).map((socket) => untilClosed(socket)));
    await hasty.until(() => refusals() - counted === count, 'each refusal is counted');
    await relay.until(() => readdirSync('/proc/self/fd').length <= descriptors + 2, 'descriptors return');
    assert.equal(counters.openStreams, 0);
  });
});
