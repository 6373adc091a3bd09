import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { LimitsAnswer } from '../../../src/api/shapes.ts';
import { formatNodeKey, generateNodeKeyPair, type NodeKeyPair } from '../../../src/wire/keys.ts';
import { ask } from '../../http/http-client.ts';
import { TestRelay } from '../support.ts';

let relay: TestRelay;
before(async () => {
  relay = await TestRelay.start({
    TOWPATH_FAIRNESS_TIERS: JSON.stringify([{ name: 'all', bytesPerSecond: 5_000_000 }]),
  });
});
after(() => relay.stop());

/** Does the action `limit`; returns the status, and the message or the error. */
async function limit(body: object): Promise<readonly [number, string]> {
  const { status, body: text } = await ask(relay.relay.addresses.admin!.port, '/api/v1/actions/limit', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = JSON.parse(text) as { message?: string; error?: { message: string } };
  return [status, answer.message ?? answer.error?.message ?? ''];
}

async function limits(): Promise<LimitsAnswer> {
  const { body } = await ask(relay.relay.addresses.admin!.port, '/api/v1/limits');
  return JSON.parse(body) as LimitsAnswer;
}

/** Returns the rate that a client of these keys gets in ServerInfo. */
async function announced(keys: NodeKeyPair): Promise<number | undefined> {
  const client = await relay.client({ keys });
  client.close();
  return client.facts.serverInfo.bytesPerSecond;
}

suite('the action limit for one key', () => {
  test('holds an open connection at once, tells the next one, and can be taken back', async () => {
    const keys = generateNodeKeyPair();
    const key = formatNodeKey(keys.publicKey);
    const client = await relay.client({ keys });
    assert.equal(client.facts.serverInfo.bytesPerSecond, 5_000_000);
    const [status, message] = await limit({ key, bytesPerSecond: 1 });
    assert.equal(status, 200, message);
    assert.match(message, /may send 1 bytes per second until it is taken back/);
    // An unknown frame uses the whole burst, so that the next frame must wait for the rate.
    const frame = Buffer.concat([Buffer.from('7f00010020', 'hex'), Buffer.alloc(65_568)]);
    const waits = relay.relay.counters.rateLimitWaits;
    client.sendFrame(frame);
    const waiting = client.ping(60_000);
    await relay.until(() => relay.relay.counters.rateLimitWaits > waits, 'the ping waits');
    assert.equal(await announced(keys), 1);
    assert.equal(await announced(generateNodeKeyPair()), 5_000_000, 'other keys have the rate of the tier');
    assert.deepEqual((await limits()).keys, [{ key, bytesPerSecond: 1, until: null }]);
    assert.equal((await limit({ key, bytesPerSecond: null }))[0], 200);
    await waiting;
    assert.equal(await announced(keys), 5_000_000);
    assert.deepEqual((await limits()).keys, []);
    assert.deepEqual((await limit({ key, bytesPerSecond: null }))[0], 404);
    client.close();
    const audit = relay.lines.find((line) => line.includes('"audit":true') && line.includes('"bytesPerSecond":1,'));
    assert.ok(audit?.includes(key), 'the log says who was limited');
  });

  test('ends by itself, and a reload does not end it', async () => {
    const keys = generateNodeKeyPair();
    const key = formatNodeKey(keys.publicKey);
    assert.equal((await limit({ key, bytesPerSecond: 70_000, seconds: 2 }))[0], 200);
    relay.relay.reload(relay.config);
    assert.equal(await announced(keys), 70_000);
    assert.ok(Date.parse((await limits()).keys[0]?.until ?? '') > Date.now() - 60_000);
    await relay.until(() => relay.relay.api.limits().keys.length === 0, 'its time is over');
    assert.equal(await announced(keys), 5_000_000);
    assert.ok(relay.lines.some((line) => line.includes('the time of a changed limit is over')));
  });

  test('of all keys, ends by itself and can be taken back', async () => {
    const name = 'fairness.totalBytesPerSecond';
    const value = (): number | null => relay.relay.api.limits().limits.find((one) => one.name === name)!.value;
    assert.equal((await limit({ name, value: 9_000_000, seconds: 1 }))[0], 200);
    assert.equal(value(), 9_000_000);
    await relay.until(() => value() === 0, 'its time is over');
    assert.equal((await limit({ name, value: 8_000_000 }))[0], 200);
    assert.equal((await limit({ name, value: null }))[0], 200);
    assert.equal(value(), 0);
  });

  test('says what is wrong', async () => {
    const key = `nodekey:${'0'.repeat(64)}`;
    assert.deepEqual(await limit({ key, bytesPerSecond: 1 }), [
      400,
      'key: this cannot be the key of a node: all its digits are 0',
    ]);
    assert.match((await limit({ key: 'nodekey:12', bytesPerSecond: 1 }))[1], /64 hex digits/);
    assert.match((await limit({ key: formatNodeKey(generateNodeKeyPair().publicKey) }))[1], /bytesPerSecond/);
    assert.match((await limit({ name: 'limits.connections', value: 1 }))[1], /without a restart/);
  });
});
