import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { whoIsRequest } from '../../src/admission/tailscaled.ts';
import { FakeService, hexKey, json, scratch } from './support.ts';

const question = { key: hexKey(1), ip: '192.0.2.1' };

describe('the source tailscaled', () => {
  const directory = scratch();
  const service = new FakeService(json({}));
  let socket = '';
  before(async () => {
    socket = join(directory.path, 's');
    await service.listen(socket);
  });
  after(() => service.close());

  it('§4.9 asks whois for the node key, with the headers of the local API', async () => {
    const node = { ID: 1, Name: 'pangolin.tailfe8c.ts.net.', Tags: ['tag:server'] };
    service.reply = json({ Node: node, UserProfile: { LoginName: 'amelie@example.com' }, CapMap: null });
    const facts = { label: 'pangolin', user: 'amelie@example.com', tags: ['tag:server'] };
    assert.deepEqual(await whoIsRequest(socket, 5000)(question), facts);
    service.reply = json({ Node: { ID: 1 }, UserProfile: {}, CapMap: null });
    assert.deepEqual(await whoIsRequest(socket, 5000)(question), { label: '', user: '', tags: [] });
    service.received.splice(1);
    const [request] = service.received;
    assert.equal(request?.method, 'GET');
    assert.equal(request.url, `/localapi/v0/whois?addr=nodekey%3A${hexKey(1)}`);
    assert.equal(request.headers.host, 'local-tailscaled.sock');
    assert.match(String(request.headers['tailscale-cap']), /^\d+$/);
  });

  it('§9.99 takes a 404 for a no', async () => {
    service.reply = (response) => response.writeHead(404).end('no match for IP:port');
    assert.equal(await whoIsRequest(socket, 5000)(question), false);
  });

  for (const [name, reply, message] of [
    ['is too old', (r) => void r.writeHead(400).end("invalid 'addr' parameter"), /cannot look up node keys; update it/],
    ['does not let us ask', (r) => void r.writeHead(403).end('whois access denied'), /refuses this user/],
    ['fails', (r) => void r.writeHead(500).end('no backend'), /tailscaled answered 500: no backend/],
    ['answers with something else', (r) => void r.end('hello'), /not JSON/],
    ['answers without end', (r) => void r.end('x'.repeat(2_000_000)), /longer than 1048576 bytes/],
  ] as [string, FakeService['reply'], RegExp][]) {
    it(`has words for a tailscaled that ${name}`, async () => {
      service.reply = reply;
      await assert.rejects(whoIsRequest(socket, 5000)(question), { kind: 'answer', message });
    });
  }

  it('§9.99 does not get an answer where nobody listens', async () => {
    const request = whoIsRequest(join(directory.path, 'none'), 5000)(question);
    await assert.rejects(request, { kind: 'transport', message: /there is no such socket; is its service running\?/ });
  });

  it('gives up after its time', async () => {
    service.reply = () => undefined;
    await assert.rejects(whoIsRequest(socket, 50)(question), {
      kind: 'transport',
      message: /: no answer within 0.05 s$/,
    });
  });
});
