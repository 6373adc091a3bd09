import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { headscaleNodes, headscaleVerifyUrl } from '../../src/admission/headscale.ts';
import type { HeadscaleSourceConfig } from '../../src/config/schema/admission-sources.ts';
import { FakeService, hexKey, json, scratch, START } from './support.ts';

/** A node as Headscale v0.29.2 lists it. */
function node(seed: number, expiry: string | null): Record<string, unknown> {
  return {
    id: String(seed),
    machineKey: `mkey:${hexKey(99)}`,
    nodeKey: `nodekey:${hexKey(seed)}`,
    discoKey: `discokey:${hexKey(98)}`,
    ipAddresses: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
    name: 'a',
    user: { id: '1', name: 'u' },
    expiry,
    registerMethod: 'REGISTER_METHOD_AUTH_KEY',
    givenName: 'a',
    online: true,
  };
}

describe('the source headscale', () => {
  const directory = scratch();
  const service = new FakeService(json({ nodes: [] }));
  before(() => service.listen());
  after(() => service.close());

  const config = (url: string): HeadscaleSourceConfig => ({
    kind: 'headscale',
    name: 'hs',
    url,
    mode: 'api',
    apiKeyFile: join(directory.path, 'key'),
    cacheSeconds: 5,
    maxConcurrent: 1,
    failOpen: false,
    refreshSeconds: 30,
    keepSeconds: 3600,
    timeoutSeconds: 5,
  });

  it('refuses a list in which a key that decides stands twice', async () => {
    writeFileSync(join(directory.path, 'key'), 'hskey-api-secret\n');
    const list = JSON.stringify({ nodes: [node(1, new Date(START - 1000).toISOString())] });
    for (const [text, key] of [
      [list.replace('"expiry"', '"Expiry":null,"expiry"'), 'expiry'],
      [list.replace('"nodeKey"', `"nodeKey":"nodekey:${hexKey(2)}","nodeKey"`), 'nodeKey'],
      [list.replace('"nodes"', '"NODES":[],"nodes"'), 'nodes'],
    ] as const) {
      service.reply = (response) => response.end(text);
      await assert.rejects(headscaleNodes(config(service.url), () => START)(), {
        kind: 'answer',
        message: `${service.url}/api/v1/node: in the answer, the key "${key}" is there twice`,
      });
    }
  });

  it('reads the nodes with the API key, without those that have expired', async () => {
    writeFileSync(join(directory.path, 'key'), 'hskey-api-secret\n');
    const expiries = [
      null,
      '0001-01-01T00:00:00Z',
      new Date(START + 1000).toISOString(),
      new Date(START).toISOString(),
    ];
    service.reply = json({ nodes: expiries.map((expiry, i) => node(i + 1, expiry)) });
    const nodes = await headscaleNodes(config(`${service.url}/`), () => START)();
    assert.deepEqual([...nodes.keys()], [hexKey(1), hexKey(2), hexKey(3)]);
    assert.equal(service.received[0]?.url, '/api/v1/node');
    assert.equal(service.received[0].headers.authorization, 'Bearer hskey-api-secret');
  });

  for (const [name, ours] of [
    ['1970', 0],
    ['2069', Date.UTC(2069, 11, 31)],
  ] as const) {
    it(`judges their expiry by the clock of the service, also where ours says ${name}`, async () => {
      const expiries = [new Date(START + 1000).toISOString(), new Date(START - 1000).toISOString()];
      const nodes = expiries.map((expiry, i) => node(i + 1, expiry));
      service.reply = json({ nodes }, 200, { Date: new Date(START).toUTCString() });
      const found = await headscaleNodes(config(service.url), () => ours)();
      assert.deepEqual([...found.keys()], [hexKey(1)]);
    });
  }

  it('knows the name, the owner and the tags of a node, whichever version lists them', async () => {
    const older = { ...node(1, null), givenName: 'printer', forcedTags: ['tag:b', 'tag:a'], validTags: ['tag:a'] };
    const newer = { ...node(2, null), user: { id: '2', name: '', email: 'amelie@example.com' }, tags: ['tag:c', 7] };
    service.reply = json({ nodes: [older, newer, { ...node(3, null), user: null, givenName: 'x'.repeat(9999) }] });
    const nodes = await headscaleNodes(config(service.url), () => START)();
    assert.deepEqual(nodes.get(hexKey(1)), { label: 'printer', user: 'u', tags: ['tag:b', 'tag:a'] });
    assert.deepEqual(nodes.get(hexKey(2)), { label: 'a', user: 'amelie@example.com', tags: ['tag:c'] });
    assert.deepEqual(nodes.get(hexKey(3)), { label: '', user: '', tags: [] });
  });

  it('takes an answer without nodes for no answer', async () => {
    service.reply = json({ code: 16, message: 'Unauthorized' });
    await assert.rejects(headscaleNodes(config(service.url), () => START)(), { kind: 'answer' });
  });

  it('verifies at /verify, below the path of the server', () => {
    assert.equal(headscaleVerifyUrl(config('https://example.com')), 'https://example.com/verify');
    assert.equal(headscaleVerifyUrl(config('https://example.com/hs/')), 'https://example.com/hs/verify');
  });
});
