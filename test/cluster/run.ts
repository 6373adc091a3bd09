/**
 * Tests relays of a region that count together through a real Valkey or Redis server, `npm run test:cluster`: quotas, connections of
 * a key, denials and disconnects hold for all of them; the server is killed and started again under load, and fails in other ways
 * (`failures.ts`). It prints its results, and fails when no server is installed. One relay runs on Node and one on Bun. `run.ts 2` gives each of them two threads.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Clock } from '../../src/base/clock.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../src/wire/keys.ts';
import { serverFailures } from './failures.ts';
import { SERVER, TestServer } from './server.ts';
import { RegionRelay, until } from './world.ts';

const PASSWORD = 'a password of the test';
const PACKET = Buffer.alloc(1000);

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-cluster-'));
const clock = new Clock();
clock.start();
const server = new TestServer(folder, PASSWORD);
writeFileSync(path.join(folder, 'password'), PASSWORD, { mode: 0o600 });

const [ana, ben, cat] = [generateNodeKeyPair(), generateNodeKeyPair(), generateNodeKeyPair()];
/** Number of threads of each relay. */
const threads = Number(process.argv[2] ?? 1);
const settings = `
threads: ${threads}
admission: { open: true }
cluster: { valkey: 'unix://${server.socket}', passwordFile: ${path.join(folder, 'password')} }
fairness:
  tiers:
    - { name: loud, keys: ${formatNodeKey(ben.publicKey)}, bytesPerDay: 300000, overQuota: refuse }
    - { name: single, keys: ${formatNodeKey(cat.publicKey)}, connections: 1 }
    - { name: rest, bytesPerDay: 1000000000000 }
`;
const relays = [
  new RegionRelay(folder, 'one', settings, clock),
  new RegionRelay(folder, 'two', settings, clock),
] as const;

/** A client that records whether it is open, and counts its packets. */
class Watched {
  readonly client: DerpClient;
  isOpen = true;

  constructor(client: DerpClient) {
    this.client = client;
    client.handler = { closed: () => (this.isOpen = false) };
  }
}

async function connect(relay: RegionRelay, keys: typeof ana): Promise<Watched> {
  return new Watched(await relay.client(keys));
}

function say(what: string): void {
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(5)} s  ${what}`);
}

function sendSome(from: Watched, packets: number): void {
  for (let i = 0; i < packets; i++) from.client.send(ana.publicKey, PACKET);
}

async function isRefused(relay: RegionRelay, keys: typeof ana): Promise<boolean> {
  try {
    (await relay.client(keys)).abort();
    return false;
  } catch {
    return true;
  }
}

async function connectionsOfOneKey(): Promise<void> {
  const first = await connect(relays[0], cat);
  await sleep(50);
  const second = await connect(relays[1], cat);
  const ms = await until(() => !first.isOpen, 'the older connection of the key is ended at the other relay');
  assert.ok(second.isOpen);
  say(`one connection of a key in the region: the older one, at the other relay, ended after ${Math.round(ms)} ms`);
  second.client.abort();
}

async function actions(): Promise<void> {
  const key = formatNodeKey(cat.publicKey);
  const here = await connect(relays[1], cat);
  await relays[0].act('disconnect', { key });
  say(
    `disconnect at one relay ended a connection of the other after ${Math.round(await until(() => !here.isOpen, 'disconnect'))} ms`,
  );
  const again = await connect(relays[1], cat);
  assert.equal(await relays[0].act('deny', { key, seconds: 3600, reason: 'test' }), 200);
  say(`deny: ended at the other relay after ${Math.round(await until(() => !again.isOpen, 'deny'))} ms`);
  assert.ok(await isRefused(relays[1], cat));
  assert.equal(await relays[0].act('deny', { key, seconds: 0 }), 200);
  const ms = await until(async () => !(await isRefused(relays[1], cat)), 'the denial is over');
  say(`the denial was ended for the other relay after ${Math.round(ms)} ms`);
}

/** Sends through both relays while the server is down: half of the quota of the key through each. */
async function quotaUnderLoad(): Promise<void> {
  const receivers = [await connect(relays[0], ana), await connect(relays[1], ana)] as const;
  const senders = [await connect(relays[0], ben), await connect(relays[1], ben)] as const;
  for (const sender of senders) sendSome(sender, 60);
  await sleep(5000);
  assert.ok(
    senders.every(({ isOpen }) => isOpen),
    'less than the quota is used',
  );
  await server.kill();
  say('the server is killed');
  const awayMs = await until(
    async () => (await Promise.all(relays.map((relay) => relay.metric('towpath_cluster_up')))).every((up) => up === 0),
    'both relays notice it',
  );
  for (const relay of relays) {
    assert.match(await relay.page('readyz'), /^ready\nnote: cluster: .*cannot be used/);
    assert.equal(relay.lines.filter((line) => line.includes('cannot be used')).length, 1);
  }
  say(`both relays say so after ${Math.round(awayMs)} ms, once, and stay ready`);
  // Below the quota at each relay, and above it together: 60 + 110 packets at both.
  for (let i = 0; i < 10; i++) {
    for (const sender of senders) sendSome(sender, 11);
    await sleep(200);
  }
  await sleep(5000);
  assert.ok(
    senders.every(({ isOpen }) => isOpen),
    'each relay goes on with its own counts',
  );
  say('while it is away, each relay counts for itself');
  await server.start();
  const backMs = await until(() => senders.every(({ isOpen }) => !isOpen), 'the key is over its quota in the region');
  say(
    `the server is back: what was counted meanwhile is added, and the key is over its quota at both after ${Math.round(backMs)} ms`,
  );
  assert.ok((await isRefused(relays[0], ben)) && (await isRefused(relays[1], ben)));
  assert.ok(
    receivers.every(({ isOpen }) => isOpen),
    'the others go on',
  );
  await until(async () => !(await relays[0].page('readyz')).includes('note'), 'the note is gone');
}

async function afterRestart(): Promise<void> {
  await relays[0].stop();
  rmSync(path.join(folder, 'one', 'accounting'), { recursive: true });
  await relays[0].start('node');
  const client = await connect(relays[0], ben);
  const ms = await until(() => !client.isOpen, 'a relay that lost its disk knows the quota again');
  assert.ok(await isRefused(relays[0], ben));
  say(`a relay that was started again without its accounting knows after ${Math.round(ms)} ms what was used`);
}

try {
  if (SERVER === undefined)
    throw new Error('install valkey-server or redis-server (Debian: apt-get install redis-server)');
  await server.start();
  await Promise.all([relays[0].start('node'), relays[1].start('bun')]);
  for (const relay of relays)
    await until(async () => (await relay.metric('towpath_cluster_up')) === 1, `${relay.name} is in`);
  say(`${SERVER}, one relay on Node and one on Bun, each with ${threads} thread(s)`);
  await connectionsOfOneKey();
  await actions();
  await quotaUnderLoad();
  await afterRestart();
  await serverFailures(server, relays, say);
  say('done');
} catch (error) {
  for (const relay of relays) console.error(`${relay.name}:\n${relay.lines.slice(-12).join('\n')}`);
  throw error;
} finally {
  await Promise.all(relays.map((relay) => relay.stop()));
  await server.kill();
  clock.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
