import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sharedBoxKey } from '../../src/wire/box.ts';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { encodeClientInfo } from '../../src/wire/handshake.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../src/wire/keys.ts';
import { TestRelay } from '../service/support.ts';
import { closedPort, FakeService, json, scratch, within } from './support.ts';

const sources = (...list: object[]): Record<string, string> => ({ TOWPATH_ADMISSION_SOURCES: JSON.stringify(list) });

async function adminPage(relay: TestRelay, path: string): Promise<string> {
  const { ip, port } = relay.relay.addresses.admin!;
  const [response] = (await once(get({ host: ip, port, path }), 'response')) as [AsyncIterable<Buffer>];
  let text = '';
  for await (const chunk of response) text += chunk.toString();
  return text;
}

function hasLine(relay: TestRelay, ...words: string[]): boolean {
  return relay.lines.some((line) => words.every((word) => line.includes(word)));
}

describe('a relay with admission', () => {
  const directory = scratch();
  const allowFile = (...keys: Buffer[]): string => {
    const path = join(directory.path, 'allow');
    writeFileSync(path, keys.map((key) => `${formatNodeKey(key)}\n`).join(''));
    return path;
  };

  it('lets members in, keeps strangers out, and ends the connection of a key that is taken from the file', async () => {
    const [member, other, stranger] = [generateNodeKeyPair(), generateNodeKeyPair(), generateNodeKeyPair()];
    const file = allowFile(member.publicKey, other.publicKey);
    const relay = await TestRelay.start(sources({ kind: 'keys', name: 'office', allowFile: file, pollSeconds: 1 }));
    try {
      let isEnded = false;
      await relay.client({ keys: member, handler: { closed: () => (isEnded = true) } });
      let hasStayed = true;
      await relay.client({ keys: other, handler: { closed: () => (hasStayed = false) } });
      await assert.rejects(relay.client({ keys: stranger }), { code: 'TOWPATH_CLIENT_REFUSED' });
      assert.ok(hasLine(relay, '"not admitted"', 'office', 'unknown_key', '127.0.0.1'));

      allowFile(other.publicKey);
      await relay.until(() => isEnded, 'the member that was removed is gone');
      assert.ok(hasStayed);
      await assert.rejects(relay.client({ keys: member }));

      const metrics = await adminPage(relay, '/metrics');
      assert.match(metrics, /^towpath_admission_admits_total\{source="office"\} 2$/m);
      assert.match(metrics, /^towpath_admission_refusals_total\{source="office",reason="unknown_key"\} 2$/m);
      assert.match(metrics, /^towpath_admission_ended_total\{source="office",reason="unknown_key"\} 1$/m);
      assert.match(metrics, /^towpath_refusals_total\{reason="not_admitted"\} 3$/m);
      assert.match(await adminPage(relay, '/'), /\/admission {2}/);
      assert.ok((await adminPage(relay, '/admission')).includes(formatNodeKey(stranger.publicKey)));
      const report = JSON.parse(await adminPage(relay, '/admission?format=json')) as {
        refusals: { wasConnected: boolean }[];
      };
      assert.deepEqual(
        report.refusals.map(({ wasConnected }) => wasConnected),
        [false, true, false],
      );
    } finally {
      await relay.stop();
    }
  });

  it('ends the connection of a member to whom a web service says no at the next refresh', async () => {
    const service = new FakeService(json({ Allow: true }));
    await service.listen();
    const relay = await TestRelay.start(sources({ kind: 'webhook', url: service.url, refreshSeconds: 1 }));
    try {
      const ended = new Promise<void>((resolve) => void relay.client({ handler: { closed: () => resolve() } }));
      await relay.until(() => relay.relay.counters.connections === 1, 'the member is in');
      service.reply = json({ Allow: false });
      await within(ended, 'the end of the connection');
      assert.ok(hasLine(relay, 'no longer admitted; the connection was closed', 'webhook'));
    } finally {
      await relay.stop();
      await service.close();
    }
  });

  it('handles what a client sends behind its ClientInfo once a web service has said yes', async () => {
    const service = new FakeService(json({ Allow: true }));
    await service.listen();
    const relay = await TestRelay.start(sources({ kind: 'webhook', url: service.url }));
    try {
      const socket = await relay.tls();
      const keys = generateNodeKeyPair();
      const sharedKey = sharedBoxKey(keys.privateKey, relay.relay.keyPair.publicKey);
      const answered = new Promise<void>((resolve) => {
        let received = Buffer.alloc(0);
        const pong = encodeFrame(FrameType.Pong, Buffer.from('12345678'));
        socket.on('data', (chunk: Buffer) => {
          received = Buffer.concat([received, chunk]);
          if (received.includes(pong)) resolve();
        });
      });
      // One write, so that the ping arrives before the verdict. The relay must answer it without another byte.
      socket.write(
        Buffer.concat([
          Buffer.from('GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n'),
          encodeClientInfo({ publicKey: keys.publicKey, sharedKey, info: {} }),
          encodeFrame(FrameType.Ping, Buffer.from('12345678')),
        ]),
      );
      await within(answered, 'the pong');
      socket.destroy();
    } finally {
      await relay.stop();
      await service.close();
    }
  });

  it('is not ready while nobody can tell who may come in', async () => {
    const relay = await TestRelay.start(
      sources({
        kind: 'headscale',
        url: `http://127.0.0.1:${await closedPort()}`,
        apiKeyFile: allowFile(Buffer.alloc(32, 1)),
        mode: 'api',
      }),
    );
    try {
      assert.deepEqual(
        relay.relay.health.problems().map(({ name }) => name),
        ['admission'],
      );
      await assert.rejects(relay.client());
      assert.ok(hasLine(relay, '"not admitted"', 'headscale', 'not_ready', 'no connection'));
    } finally {
      await relay.stop();
    }
  });

  for (const open of [false, true]) {
    it(`without sources is open, and ${open ? 'is silent about it when that is stated' : 'says so loudly'}`, async () => {
      const relay = await TestRelay.start({ TOWPATH_ADMISSION_OPEN: String(open) });
      try {
        await relay.client();
        assert.equal(hasLine(relay, '"level":40', 'OPEN TO EVERYONE'), !open);
      } finally {
        await relay.stop();
      }
    });
  }
});
