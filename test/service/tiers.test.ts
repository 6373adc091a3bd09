import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../src/wire/keys.ts';
import { nextPacket, TestRelay, within } from './support.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-tiers-'));
after(() => rmSync(folder, { recursive: true }));
const [alice, bob] = [generateNodeKeyPair(), generateNodeKeyPair()];
const [ALICE, BOB] = [alice.publicKey.toString('hex'), bob.publicKey.toString('hex')];
const allowFile = path.join(folder, 'allow');
writeFileSync(allowFile, `${formatNodeKey(alice.publicKey)} laptop\n${formatNodeKey(bob.publicKey)} phone\n`);
const SOURCES = JSON.stringify([{ kind: 'keys', name: 'nodes', allowFile }]);

function environment(tiers: readonly object[], sources = SOURCES): Record<string, string> {
  return { TOWPATH_ADMISSION_SOURCES: sources, TOWPATH_FAIRNESS_TIERS: JSON.stringify(tiers) };
}

function ended(client: DerpClient): Promise<void> {
  return within(
    new Promise((resolve) => (client.handler = { ...client.handler, closed: () => resolve() })),
    'the end of the connection',
    15_000,
  );
}

/** Sends one packet from `from` to `to` and waits until it arrives. */
async function send(from: DerpClient, to: DerpClient, bytes: number): Promise<void> {
  const arrived = nextPacket(to);
  from.send(to.publicKey, Buffer.alloc(bytes));
  await arrived;
}

suite('tiers', () => {
  test('give a key its rate by its label, announced to the client, and other tiers apply to open connections', async () => {
    const tiers = [{ name: 'guests', labels: ['phone'], bytesPerSecond: 50_000, burstBytes: 70_000 }];
    const relay = await TestRelay.start(environment(tiers));
    try {
      const [a, b] = await Promise.all([relay.client({ keys: alice }), relay.client({ keys: bob })]);
      assert.deepEqual([a.facts.serverInfo.bytesPerSecond, b.facts.serverInfo.bytesPerSecond], [0, 50_000]);
      const status = relay.relay.clients.status({ key: BOB, source: 'nodes' });
      assert.deepEqual([status.tier, status.label, status.dayBytes], ['guests', 'phone', 0]);
      assert.equal(relay.relay.clients.status({ key: ALICE, source: 'nodes' }).tier, '');
      const other = [{ name: 'all', bytesPerSecond: 1_000_000 }];
      relay.relay.reload(loadConfig({ env: { ...environment(other) } }).config);
      const late = await relay.client({ keys: alice });
      assert.equal(late.facts.serverInfo.bytesPerSecond, 1_000_000);
    } finally {
      await relay.stop();
    }
  });

  test('a key over its quota is ended and refused, others go on, and a larger quota lets it in again', async () => {
    const tiers = [{ name: 'guests', keys: [formatNodeKey(bob.publicKey)], bytesPerDay: 5000, overQuota: 'refuse' }];
    const relay = await TestRelay.start(environment(tiers));
    try {
      const [a, b] = await Promise.all([relay.client({ keys: alice }), relay.client({ keys: bob })]);
      await send(a, b, 6000);
      const end = ended(b);
      await send(b, a, 6000);
      await end;
      assert.equal(relay.relay.counters.refusals.over_quota, 1);
      assert.equal(relay.relay.clients.status({ key: BOB, source: 'nodes' }).isOverQuota, true);
      await assert.rejects(relay.client({ keys: bob }));
      assert.ok(relay.lines.some((line) => line.includes('a key has used up the bytes of its tier')));
      const larger = [{ ...tiers[0], bytesPerDay: 1_000_000 }];
      relay.relay.reload(loadConfig({ env: environment(larger) }).config);
      await send(await relay.client({ keys: bob }), a, 100);
    } finally {
      await relay.stop();
    }
  });

  test('a restart does not give a new day', async () => {
    const tiers = [{ name: 'all', bytesPerDay: 5000, overQuota: 'refuse' }];
    const env = { ...environment(tiers), TOWPATH_ACCOUNTING_DIRECTORY: path.join(folder, 'accounting') };
    const first = await TestRelay.start(env);
    try {
      const [a, b] = await Promise.all([first.client({ keys: alice }), first.client({ keys: bob })]);
      await send(b, a, 6000);
    } finally {
      await first.stop();
    }
    const second = await TestRelay.start(env);
    try {
      assert.equal(second.relay.clients.status({ key: BOB, source: 'nodes' }).dayBytes, 6000);
      await assert.rejects(second.client({ keys: bob }));
      await second.client({ keys: alice });
    } finally {
      await second.stop();
    }
  });

  test('a key over its quota is held at the floor, which its next connection is told', async () => {
    const tiers = [{ tags: ['tag:x'] }, { name: 'rest', bytesPerMonth: 5000, floorBytesPerSecond: 20_000 }];
    const relay = await TestRelay.start(environment(tiers));
    try {
      const [a, b] = await Promise.all([relay.client({ keys: alice }), relay.client({ keys: bob })]);
      assert.equal(b.facts.serverInfo.bytesPerSecond, 0);
      await send(b, a, 6000);
      await relay.until(() => relay.relay.clients.isOverQuota(BOB), 'it is over its quota');
      const again = await relay.client({ keys: bob });
      assert.deepEqual([again.facts.serverInfo.bytesPerSecond, again.facts.serverInfo.burstBytes], [20_000, 65_568]);
      const waits = relay.relay.counters.rateLimitWaits;
      for (let i = 0; i < 10; i++) b.send(a.publicKey, Buffer.alloc(60_000));
      await relay.until(() => relay.relay.counters.rateLimitWaits > waits, 'the open connection waits');
      await send(again, a, 10).catch(() => undefined);
    } finally {
      await relay.stop();
    }
  });
});

suite('admission reloads without a restart', () => {
  test('other sources and denied programs apply to open connections too', async () => {
    const relay = await TestRelay.start(environment([]));
    try {
      const [a, b] = await Promise.all([relay.client({ keys: alice }), relay.client({ keys: bob })]);
      const onlyAlice = path.join(folder, 'alice');
      writeFileSync(onlyAlice, `${formatNodeKey(alice.publicKey)}\n`);
      const end = ended(b);
      const next = loadConfig({
        env: environment([], JSON.stringify([{ kind: 'keys', name: 'owners', allowFile: onlyAlice }])),
      }).config;
      const restart = relay.relay.reload({ ...relay.config, admission: next.admission });
      assert.deepEqual(restart.restart, []);
      await end;
      await assert.rejects(relay.client({ keys: bob }));
      const again = await relay.client({ keys: alice });
      await send(a, again, 10).catch(() => undefined);
      const broken = loadConfig({
        env: environment([], JSON.stringify([{ kind: 'keys', allowFile: path.join(folder, 'none') }])),
      }).config;
      assert.throws(() => relay.relay.reload({ ...relay.config, admission: broken.admission }), /none/);
      await relay.client({ keys: alice });
    } finally {
      await relay.stop();
    }
  });
});
