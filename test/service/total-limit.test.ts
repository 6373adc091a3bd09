import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatNodeKey, generateNodeKeyPair, type NodeKeyPair } from '../../src/wire/keys.ts';
import { nextPacket, TestRelay, within } from './support.ts';

const PACKET = Buffer.alloc(4096, 3);
/** Bytes for the first sender before shares count: the burst, and the contents of the sockets at the start. */
const START_BYTES = 1_000_000;

/** Sends from each client to `receiver` as fast as the relay accepts it; resolves with the delivered part of `bytes` of each. */
async function shareOf(receiver: DerpClient, senders: readonly DerpClient[], bytes: number): Promise<number[]> {
  const got = new Map(senders.map((sender) => [sender.publicKey.toString('hex'), 0]));
  let total = 0;
  const done = new Promise<void>((resolve) => {
    receiver.handler = {
      packet: (source, _buffer, from, to) => {
        total += to - from;
        const key = source.toString('hex');
        if (total > START_BYTES) got.set(key, got.get(key)! + to - from);
        if (total >= START_BYTES + bytes) resolve();
      },
    };
  });
  for (const sender of senders) {
    const drained = (): void => {
      while (sender.send(receiver.publicKey, PACKET));
    };
    sender.handler = { drained };
    drained();
  }
  await within(done, `${bytes} bytes`, 30_000);
  return [...got.values()];
}

/** An admission source that admits one key. */
function keysSource(folder: string, name: string, { publicKey }: NodeKeyPair): object {
  const allowFile = path.join(folder, `${name}.keys`);
  writeFileSync(allowFile, `${formatNodeKey(publicKey)}\n`);
  return { kind: 'keys', name, allowFile };
}

suite('the total of the relay', () => {
  test('senders that never stop get equal shares, and one that seldom sends is not kept waiting by them', async () => {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: '2000000' });
    try {
      const clients = await Promise.all([1, 2, 3, 4, 5, 6].map(() => relay.client()));
      const [polite, listener, ...greedy] = clients as [DerpClient, DerpClient, ...DerpClient[]];
      const shared = shareOf(await relay.client(), greedy, 2_000_000);
      await relay.until(() => relay.relay.counters.totalLimitWaits > 0, 'the total is used up');
      for (let i = 0; i < 5; i++) {
        const arrived = nextPacket(listener);
        polite.send(listener.publicKey, Buffer.from([i]));
        assert.deepEqual((await arrived).packet, Buffer.from([i]));
      }
      const shares = await shared;
      assert.ok(Math.max(...shares) - Math.min(...shares) < 0.2 * Math.max(...shares), shares.join(' '));
    } finally {
      await relay.stop();
    }
  });

  test('a tier has as many shares as its weight says, and a reload without a total sets everyone free', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-tiers-'));
    const keys = [generateNodeKeyPair(), generateNodeKeyPair()] as [NodeKeyPair, NodeKeyPair];
    const receiverKeys = generateNodeKeyPair();
    const sources = [
      keysSource(folder, 'owners', keys[0]),
      keysSource(folder, 'others', keys[1]),
      keysSource(folder, 'receivers', receiverKeys),
    ];
    const relay = await TestRelay.start({
      TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: '2000000',
      TOWPATH_FAIRNESS_TIERS: JSON.stringify([{ sources: ['owners'], weight: 3 }]),
      TOWPATH_ADMISSION_SOURCES: JSON.stringify(sources),
    });
    try {
      const clients = await Promise.all(keys.map((pair) => relay.client({ keys: pair })));
      const receiver = await relay.client({ keys: receiverKeys });
      const [owner, other] = await shareOf(receiver, clients, 2_000_000);
      assert.ok(owner! > 2.4 * other! && owner! < 3.6 * other!, `${owner} and ${other}`);
      relay.relay.reload(loadConfig({}).config);
      const waitsBefore = relay.relay.counters.totalLimitWaits;
      await shareOf(receiver, clients, 8_000_000);
      assert.equal(relay.relay.counters.totalLimitWaits, waitsBefore);
    } finally {
      await relay.stop();
      rmSync(folder, { recursive: true });
    }
  });

  test('a connection that ends while it waits for its share leaves nothing behind', async () => {
    const relay = await TestRelay.start({ TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: '100000' });
    try {
      const [sender, receiver] = await Promise.all([relay.client(), relay.client()]);
      while (sender.send(receiver.publicKey, PACKET));
      await relay.until(() => relay.relay.counters.totalLimitWaits > 0, 'the total is used up');
      sender.abort();
      await relay.until(() => relay.relay.sessionCount === 1, 'the sender is gone');
      const other = await relay.client();
      const arrived = nextPacket(receiver);
      other.send(receiver.publicKey, PACKET);
      await arrived;
    } finally {
      await relay.stop();
    }
  });
});
