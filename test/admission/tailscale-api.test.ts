import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { openSourceAdmission } from '../../src/admission/open.ts';
import { ListCache } from '../../src/admission/list-cache.ts';
import { PolledSource } from '../../src/admission/polled-source.ts';
import { tailscaleDevices } from '../../src/admission/tailscale-api.ts';
import type { TailscaleApiSourceConfig } from '../../src/config/schema/admission-sources.ts';
import { closedPort, FakeService, hexKey, json, reasonOf, scratch, START, within, World } from './support.ts';

const HOUR_MS = 3_600_000;
const iso = (ms: number): string => new Date(ms).toISOString();

/** A device in the shape that the API has by default (publicapi/device.md of upstream). */
function device(key: string, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    addresses: ['100.87.74.78', 'fd7a:115c:a1e0:ac82:4843:ca90:697d:c36e'],
    id: '393735751060',
    nodeId: 'n5SUKe8CNTRL',
    user: 'amelie@example.com',
    name: 'pangolin.tailfe8c.ts.net',
    hostname: 'pangolin',
    clientVersion: '1.102.5',
    updateAvailable: false,
    os: 'linux',
    created: '2025-12-01T05:23:30Z',
    lastSeen: '2026-11-24T05:23:30Z',
    keyExpiryDisabled: false,
    expires: iso(START + 24 * HOUR_MS),
    authorized: true,
    isExternal: false,
    machineKey: `mkey:${hexKey(99)}`,
    nodeKey: `nodekey:${key}`,
    blocksIncomingConnections: false,
    tailnetLockKey: '',
    tailnetLockError: '',
    ...fields,
  };
}

describe('the source tailscale-api', () => {
  const directory = scratch();
  const api = new FakeService(json({ devices: [] }));
  before(() => api.listen());
  after(() => api.close());
  beforeEach(() => {
    api.received.length = 0;
    api.reply = json({ devices: [device(hexKey(1))] });
  });

  const config = (fields: Partial<TailscaleApiSourceConfig> = {}): TailscaleApiSourceConfig => ({
    kind: 'tailscale-api',
    name: 'tailnet',
    tailnet: '-',
    baseUrl: api.url,
    apiKeyFile: keyFile(),
    failOpen: false,
    refreshSeconds: 60,
    keepSeconds: 3600,
    timeoutSeconds: 5,
    ...fields,
  });

  it('refuses a list in which a key that decides stands twice', async () => {
    const list = JSON.stringify({ devices: [device(hexKey(1))] });
    for (const [text, key] of [
      [list.replace('"authorized"', '"authorized":false,"authorized"'), 'authorized'],
      [list.replace('"expires"', '"Expires":"2001-01-01T00:00:00Z","expires"'), 'expires'],
      [list.replace('"keyExpiryDisabled"', '"keyexpirydisabled":true,"keyExpiryDisabled"'), 'keyExpiryDisabled'],
    ] as const) {
      api.reply = (response) => response.end(text);
      await assert.rejects(tailscaleDevices(config(), () => START)(), {
        kind: 'answer',
        message: `${api.url}/api/v2/tailnet/-/devices: in the answer, the key "${key}" is there twice`,
      });
    }
  });

  function keyFile(): string {
    const path = join(directory.path, 'api.key');
    writeFileSync(path, 'tskey-api-secret\n');
    return path;
  }

  let caches = 0;
  const cachePath = (): string => join(directory.path, 'cache', `${caches++}.json`);

  function open(
    world: World,
    fields: Partial<TailscaleApiSourceConfig> = {},
    path: string = cachePath(),
  ): PolledSource {
    const whole = config(fields);
    const fetchNodes = tailscaleDevices(whole, world.parts.now);
    return new PolledSource({ ...whole, fetchNodes, cache: new ListCache(path, 'origin') }, world.parts);
  }

  /** Makes a source that has its first list. */
  async function started(world: World, fields: Partial<TailscaleApiSourceConfig> = {}): Promise<PolledSource> {
    const source = open(world, fields);
    await source.start();
    await world.line('admission list fetched');
    return source;
  }

  it('asks for the devices of the tailnet with the API key', async () => {
    const source = await started(new World(), { tailnet: 'example.com' });
    const [request] = api.received;
    assert.equal(request?.method, 'GET');
    assert.equal(request.url, '/api/v2/tailnet/example.com/devices');
    assert.equal(request.headers.authorization, 'Bearer tskey-api-secret');
    assert.equal(source.look(hexKey(1)), 'yes');
    assert.equal(reasonOf(source.look(hexKey(2))), 'unknown_key');
    source.stop();
  });

  it('knows the name, the owner and the tags of a device, after a restart too, and says when they change', async () => {
    const path = cachePath();
    api.reply = json({ devices: [device(hexKey(1), { tags: ['tag:server'] })] });
    const source = open(new World(), {}, path);
    await source.start();
    const facts = { label: 'pangolin', user: 'amelie@example.com', tags: ['tag:server'] };
    assert.deepEqual([source.facts(hexKey(1)), source.facts(hexKey(2))], [facts, null]);
    let changes = 0;
    source.onChange(() => changes++);
    api.reply = json({ devices: [device(hexKey(1), { tags: [] })] });
    const changed = new Promise<void>((resolve) => source.onChange(resolve));
    source.reload();
    await within(changed, 'the change');
    assert.deepEqual([source.facts(hexKey(1))?.tags, changes], [[], 1]);
    source.stop();
    api.reply = json({}, 500);
    const next = open(new World(), {}, path);
    await next.start();
    assert.deepEqual(next.facts(hexKey(1)), { ...facts, tags: [] });
    next.stop();
  });

  it('leaves out devices that are not authorized, have expired, or have no key', async () => {
    api.reply = json({
      devices: [
        device(hexKey(1)),
        device(hexKey(2), { authorized: false }),
        device(hexKey(3), { expires: iso(START - 1) }),
        device(hexKey(4), { expires: iso(START - 1), keyExpiryDisabled: true }),
        device(hexKey(5), { expires: '0001-01-01T00:00:00Z' }),
        device(hexKey(6), { nodeKey: '' }),
        device(hexKey(7), { isExternal: true, machineKey: '', created: '' }),
      ],
    });
    const source = await started(new World());
    const admitted = [1, 2, 3, 4, 5, 6, 7].filter((seed) => source.look(hexKey(seed)) === 'yes');
    assert.deepEqual(admitted, [1, 4, 5, 7]);
    source.stop();
  });

  it('judges expiry by the clock of the API', async () => {
    const devices = [device(hexKey(1)), device(hexKey(2), { expires: iso(START - HOUR_MS) })];
    api.reply = json({ devices }, 200, { Date: new Date(START).toUTCString() });
    const world = new World();
    world.wall = Date.UTC(2069, 11, 31);
    const source = await started(world);
    assert.deepEqual(
      [1, 2].map((seed) => source.look(hexKey(seed)) === 'yes'),
      [true, false],
    );
    source.stop();
  });

  it('gets a token as an OAuth client, uses it until shortly before its end, and a new one after a 401', async () => {
    let tokens = 0;
    let lists = 0;
    let isRevoked = false;
    api.reply = (response, request) => {
      if (request.url === '/api/v2/oauth/token') {
        const token = {
          access_token: `token-${++tokens}`,
          token_type: 'Bearer',
          expires_in: 3600,
          scope: 'devices:core:read',
        };
        json(token)(response, request);
      } else if (isRevoked) json({ message: 'API token invalid' }, 401)(response, request);
      else json({ devices: [device(hexKey(++lists))] })(response, request);
    };
    const secret = join(directory.path, 'client.secret');
    writeFileSync(secret, 'tskey-client-secret');
    const world = new World();
    const oauth = { apiKeyFile: undefined, clientId: 'kABC', clientSecretFile: secret };
    const source = await started(world, oauth);
    const body = new URLSearchParams(api.received[0]?.body);
    assert.deepEqual(Object.fromEntries(body), {
      client_id: 'kABC',
      client_secret: 'tskey-client-secret',
      grant_type: 'client_credentials',
    });
    assert.equal(api.received[1]?.headers.authorization, 'Bearer token-1');

    const refreshed = () => within(new Promise<void>((resolve) => source.onChange(resolve)), 'a refresh');
    let refresh = refreshed();
    world.pass(60);
    await refresh;
    assert.equal(api.received.at(-1)?.headers.authorization, 'Bearer token-1');
    refresh = refreshed();
    world.pass(3480);
    await refresh;
    assert.equal(api.received.at(-1)?.headers.authorization, 'Bearer token-2', 'replaced a minute before its end');

    isRevoked = true;
    world.pass(60);
    await world.line('does not answer');
    isRevoked = false;
    world.pass(5);
    await world.line('answers again');
    assert.equal(tokens, 3);
    source.stop();
  });

  it('drops a removed device at the next refresh, and tells', async () => {
    const world = new World();
    const source = await started(world);
    const changed = new Promise<void>((resolve) => source.onChange(resolve));
    api.reply = json({ devices: [device(hexKey(2))] });
    world.pass(59);
    assert.equal(source.look(hexKey(1)), 'yes');
    world.pass(1);
    await changed;
    assert.equal(reasonOf(source.look(hexKey(1))), 'unknown_key');
    assert.equal(source.look(hexKey(2)), 'yes');
    source.stop();
  });

  it('fetches early when an unknown key asks, but not more often than every 5 s', async () => {
    const world = new World();
    const source = await started(world);
    api.reply = json({ devices: [device(hexKey(1)), device(hexKey(2))] });
    source.look(hexKey(2));
    world.pass(4.9);
    assert.equal(api.received.length, 1);
    const changed = new Promise<void>((resolve) => source.onChange(resolve));
    world.pass(0.1);
    await changed;
    assert.equal(source.look(hexKey(2)), 'yes');
    assert.equal(api.received.length, 2);
    source.stop();
  });

  const failures: [string, FakeService['reply'], RegExp][] = [
    [
      '401',
      json({ message: 'API token invalid' }, 401),
      /it answered 401 \(is the key or token right.*API token invalid/,
    ],
    ['500', (response) => response.writeHead(500).end('oops'), /it answered 500: oops/],
    ['no list', json({ message: 'odd' }), /no list "devices"/],
    ['null', json(null), /no list "devices"/],
    ['HTML', (response) => response.end('<html>login</html>'), /not JSON/],
    [
      'JSON that ends early',
      (response) => response.end('{"devices":[{"nodeKey":"nodekey:0'),
      /not JSON, or it is incomplete/,
    ],
    [
      'a body that is cut off',
      (response) => {
        response.writeHead(200, { 'Content-Length': '1000' });
        response.write('{"devices":[', () => response.destroy());
      },
      /the answer was cut short/,
    ],
    ['a redirect', (response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(), /it answered 302/],
    ['a closed connection', (response) => response.destroy(), /no connection: /],
  ];
  for (const [name, reply, message] of failures) {
    it(`keeps the last list through ${name}, refuses after keepSeconds, and recovers`, async () => {
      const world = new World();
      const source = await started(world);
      const good = api.reply;
      api.reply = reply;
      world.pass(60);
      const line = await world.line('its last list stays in use');
      assert.equal(line.level, 'warn');
      assert.match(String(line.fields['error']), message);
      assert.doesNotMatch(JSON.stringify(line.fields), /tskey/);
      assert.equal(source.look(hexKey(1)), 'yes');
      assert.equal(source.state().isUsable, true);
      world.pass(3600);
      await world.line('too old and no longer used');
      assert.equal(reasonOf(source.look(hexKey(1))), 'unavailable');
      assert.equal(source.state().isUsable, false);
      api.reply = good;
      const again = world.line('answers again');
      const hours = setInterval(() => world.pass(10), 20);
      await again.finally(() => clearInterval(hours));
      assert.equal(source.look(hexKey(1)), 'yes');
      source.stop();
    });
  }

  it('gives up a slow answer after its time', async () => {
    api.reply = () => undefined;
    const world = new World();
    const source = open(world, { timeoutSeconds: 0.05 });
    await source.start();
    const line = await world.line('does not answer, and there is no earlier list');
    assert.match(String(line.fields['error']), /devices: no answer within 0\.05 s$/);
    assert.equal(reasonOf(source.look(hexKey(1))), 'not_ready');
    source.stop();
  });

  it('gives up a body that trickles', async () => {
    api.reply = (response) => void response.write('{"devices":[');
    const world = new World();
    const source = open(world, { timeoutSeconds: 0.05 });
    await source.start();
    const line = await world.line('does not answer');
    assert.match(String(line.fields['error']), /devices: the answer did not end within 0\.05 s$/);
    source.stop();
  });

  it('leaves a service alone for as long as its 429 asks', async () => {
    const world = new World();
    const source = await started(world);
    api.reply = json({ message: 'rate limited' }, 429, { 'Retry-After': '120' });
    world.pass(60);
    const line = await world.line('does not answer');
    assert.equal(line.fields['retryInSeconds'], 120);
    assert.equal(api.received.length, 2);
    world.pass(119);
    assert.equal(api.received.length, 2);
    api.reply = json({ devices: [device(hexKey(1))] });
    world.pass(1);
    await world.line('answers again');
    assert.equal(api.received.length, 3);
    source.stop();
  });

  it('tries more and more rarely', async () => {
    const world = new World();
    api.reply = json({ message: 'failure 0' }, 500);
    const source = open(world);
    await source.start();
    for (let i = 0; i < 9; i++) {
      const { retryInSeconds } = (await world.line('does not answer')).fields as { retryInSeconds: number };
      const nominal = Math.min(2 * 2 ** i, 300);
      assert.ok(
        retryInSeconds >= nominal * 0.74 - 1 && retryInSeconds <= nominal * 1.26 + 1,
        `${i}: ${retryInSeconds} s`,
      );
      // Only a failure of another kind is logged.
      api.reply = json({ message: `failure ${i + 1}` }, 500);
      world.pass(retryInSeconds + 1);
    }
    source.stop();
  });

  it('starts from its cache when the service is down, unless that is too old', async () => {
    const path = cachePath();
    const first = open(new World(), {}, path);
    await first.start();
    first.stop();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(path, 'utf8'), /tskey/);

    api.reply = json({}, 500);
    const world = new World();
    world.wall += 3_599_000;
    const second = open(world, {}, path);
    await second.start();
    assert.equal(second.look(hexKey(1)), 'yes');
    assert.equal(second.state().ageSeconds, 3599);
    second.stop();

    world.wall += 1000;
    const third = open(world, {}, path);
    await third.start();
    assert.equal(reasonOf(third.look(hexKey(1))), 'not_ready');
    third.stop();
  });

  it('does not let its list grow old by a clock that is set while it cannot ask', async () => {
    const world = new World();
    const source = await started(world);
    api.reply = json({}, 500);
    world.pass(60);
    await world.line('its last list stays in use');
    for (const wall of [Date.UTC(2069, 11, 31), 0, START]) {
      world.wall = wall;
      world.clock.tick(world.clock.now);
      assert.equal(source.look(hexKey(1)), 'yes');
    }
    source.stop();
  });

  it('takes its cache in 1970 too, for keepSeconds: with that clock no TLS to the source works', async () => {
    const path = cachePath();
    const first = open(new World(), {}, path);
    await first.start();
    first.stop();
    api.reply = json({}, 500);
    const world = new World();
    world.wall = 300_000;
    const source = open(world, {}, path);
    await source.start();
    assert.equal(source.look(hexKey(1)), 'yes');
    world.pass(3600);
    assert.equal(reasonOf(source.look(hexKey(1))), 'unavailable');
    source.stop();
  });

  it('does not take the cache of another source, nor a broken one', async () => {
    api.reply = json({}, 500);
    const path = join(directory.path, 'broken.json');
    const notTaken = async (what: string): Promise<void> => {
      const source = open(new World(), {}, path);
      await source.start();
      assert.equal(reasonOf(source.look(hexKey(1))), 'not_ready', what);
      source.stop();
    };
    for (const text of ['{"version":1,"origin":"other","fetchedAt":0,"keys":[]}', '{"version":1', 'null', '[]']) {
      writeFileSync(path, text);
      await notTaken(text);
    }
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await notTaken('a pipe without a writer');
  });

  it('works without a place for its cache, and says so once', async () => {
    const world = new World();
    const source = open(world, {}, join(keyFile(), 'cache.json'));
    await source.start();
    await world.line('cannot be written to the disk');
    assert.equal(source.look(hexKey(1)), 'yes');
    source.stop();
  });

  it('fails open on request, but only while there is no connection', async () => {
    const world = new World();
    const source = open(world, { failOpen: true, baseUrl: `http://127.0.0.1:${await closedPort()}` });
    await source.start();
    const answer = source.look(hexKey(1));
    assert.ok(answer !== 'yes' && answer.failsOpen);
    source.stop();
    api.reply = json({}, 500);
    const other = open(world, { failOpen: true });
    await other.start();
    const refused = other.look(hexKey(1));
    assert.ok(refused !== 'yes' && !refused.failsOpen);
    other.stop();
  });

  it('says which secret is missing, without asking', async () => {
    const world = new World();
    const source = open(world, { apiKeyFile: undefined, apiKey: 'env:TOWPATH_TEST_NOT_SET' });
    await source.start();
    const line = await world.line('does not answer');
    assert.equal(line.fields['error'], 'the environment variable TOWPATH_TEST_NOT_SET is empty or not set');
    assert.equal(api.received.length, 0);
    source.stop();
  });

  it('serves several tailnets side by side', async () => {
    api.reply = (response, request) => {
      const key = request.url.includes('/one/') ? hexKey(1) : hexKey(2);
      json({ devices: [device(key)] })(response, request);
    };
    const world = new World();
    const sources = [config({ name: 'first', tailnet: 'one' }), config({ name: 'second', tailnet: 'two' })];
    const cacheDirectory = join(directory.path, 'several');
    const admission = openSourceAdmission({ open: false, cacheDirectory, sources }, world.parts);
    await admission.start();
    const admit = (seed: number) => admission.admit({ key: Buffer.from(hexKey(seed), 'hex'), ip: '192.0.2.1' });
    assert.deepEqual(admit(1), { admitted: true, source: 'first' });
    assert.deepEqual(admit(2), { admitted: true, source: 'second' });
    assert.deepEqual(admit(3), {
      admitted: false,
      source: 'all',
      reason: 'unknown_key: first: no node has this key; second: no node has this key',
    });
    assert.ok(statSync(join(cacheDirectory, 'first.json')).isFile());
    admission.stop();
  });
});
