import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { AskedSource, type AskedSourceOptions } from '../../src/admission/asked-source.ts';
import { openSecret } from '../../src/admission/secret.ts';
import { verifyRequest } from '../../src/admission/verify-request.ts';
import { closedPort, FakeService, hexKey, json, reasonOf, scratch, within, World } from './support.ts';

const question = (seed: number, ip = '192.0.2.1') => ({ key: hexKey(seed), ip });

describe('the source webhook', () => {
  const directory = scratch();
  const service = new FakeService(json({ Allow: true }));
  before(() => service.listen());
  after(() => service.close());
  beforeEach(() => {
    service.received.length = 0;
    service.reply = json({ Allow: true });
  });

  function open(
    world: World,
    options: Partial<AskedSourceOptions> = {},
    url = `${service.url}/check?x=1`,
  ): AskedSource {
    return new AskedSource(
      {
        name: 'hook',
        kind: 'webhook',
        refreshSeconds: 60,
        keepSeconds: 3600,
        cacheSeconds: 0,
        maxConcurrent: 32,
        failOpen: false,
        request: verifyRequest(url, 5000, null),
        isByAddress: true,
        no: 'the web service said no',
        ...options,
      },
      world.parts,
    );
  }

  it('§4.9 sends what derper sends: NodePublic and Source, with a length and without a Content-Type', async () => {
    assert.equal(await open(new World()).ask(question(1), false), 'yes');
    const [request] = service.received;
    assert.equal(request?.method, 'POST');
    assert.equal(request.url, '/check?x=1');
    assert.equal(request.body, `{"NodePublic":"nodekey:${hexKey(1)}","Source":"192.0.2.1"}`);
    assert.equal(request.headers['content-type'], undefined);
    assert.equal(request.headers['content-length'], String(request.body.length));
    assert.equal(request.headers.authorization, undefined);
  });

  it('knows what a service made for towpath adds', async () => {
    const source = open(new World());
    await source.ask(question(1), false);
    assert.deepEqual(source.facts(hexKey(1)), { label: '', user: '', tags: [] });
    service.reply = json({ Allow: true, User: 'amelie', Tags: ['tag:a'], label: 'printer' });
    await source.ask(question(1), true);
    assert.deepEqual(source.facts(hexKey(1)), { label: 'printer', user: 'amelie', tags: ['tag:a'] });
    service.reply = json({ Allow: false, User: 'amelie' });
    await source.ask(question(1), true);
    assert.equal(source.facts(hexKey(1)), null);
  });

  const refusals: [string, FakeService['reply'], string][] = [
    ['200 {"Allow":false}', json({ Allow: false }), 'unknown_key'],
    ['200 {}', json({}), 'unknown_key'],
    ['200 {"Allow":"true"}', json({ Allow: 'true' }), 'unknown_key'],
    ['a 500', json({ Allow: true }, 500), 'unavailable'],
    ['a 404', json({ Allow: true }, 404), 'unavailable'],
    ['a 204', (response) => response.writeHead(204).end(), 'unavailable'],
    ['200 {"Allow":false,"Allow":true}', (response) => response.end('{"Allow":false,"Allow":true}'), 'unavailable'],
    ['200 {"Allow":true,"allow":false}', (response) => response.end('{"Allow":true,"allow":false}'), 'unavailable'],
    ['200 with Allow escaped', (response) => response.end(String.raw`{"Allow":true,"\u0041llow":true}`), 'unavailable'],
    ['invalid JSON', (response) => response.end('{"Allow":true'), 'unavailable'],
    ['a list', json([true]), 'unavailable'],
    ['a redirect', (response) => response.writeHead(302, { Location: '/elsewhere' }).end(), 'unavailable'],
    [
      'a body that is cut short',
      (response) => {
        response.writeHead(200, { 'Content-Length': '1000' });
        response.write('{"Allow":', () => response.destroy());
      },
      'unavailable',
    ],
    ['a head that is too large', json({ Allow: true }, 200, { 'X-Y': 'z'.repeat(100_000) }), 'unavailable'],
    [
      'interim answers without end',
      (response) => {
        for (let i = 0; i < 100; i++) response.writeProcessing();
      },
      'unavailable',
    ],
    ['50 content codings', json({ Allow: true }, 200, { 'Content-Encoding': 'gzip, '.repeat(50) }), 'unavailable'],
    ['more than 4096 bytes', json({ Allow: true, padding: 'x'.repeat(4096) }), 'unavailable'],
  ];
  for (const [name, reply, reason] of refusals) {
    it(`§9.98 refuses at ${name}, even with failOpen`, async () => {
      service.reply = reply;
      assert.equal(reasonOf(await open(new World()).ask(question(1), false)), reason);
      const answer = await open(new World(), { failOpen: true }).ask(question(1), false);
      assert.ok(answer !== 'yes' && answer.reason === reason && !answer.failsOpen);
    });
  }

  it('§4.9 takes an answer of 4096 bytes', async () => {
    const empty = JSON.stringify({ Allow: true, padding: '' }).length;
    service.reply = json({ Allow: true, padding: 'x'.repeat(4096 - empty) });
    assert.equal(await open(new World()).ask(question(1), false), 'yes');
  });

  for (const [name, options, url, failsOpen] of [
    ['refused connections', {}, 'http://127.0.0.1:CLOSED/', false],
    ['refused connections with failOpen', { failOpen: true }, 'http://127.0.0.1:CLOSED/', true],
    ['an unknown name with failOpen', { failOpen: true }, 'http://no-such-host.invalid/', true],
  ] as const) {
    it(`§9.98 ${failsOpen ? 'admits' : 'refuses'} at ${name}`, async () => {
      const request = verifyRequest(url.replace('CLOSED', String(await closedPort())), 5000, null);
      const answer = await open(new World(), { ...options, request }).ask(question(1), false);
      assert.ok(answer !== 'yes');
      assert.equal(answer.reason, 'unavailable');
      assert.equal(answer.failsOpen, failsOpen);
      assert.match(answer.detail, /: no connection: ./);
    });
  }

  it('gives up after its time', async () => {
    service.reply = () => undefined;
    const answer = await open(new World(), { request: verifyRequest(service.url, 50, null) }).ask(question(1), false);
    assert.ok(answer !== 'yes' && answer.detail.endsWith(': no answer within 0.05 s'));
  });

  it('sends a bearer token, read anew for each request', async () => {
    const tokenFile = join(directory.path, 'token');
    const source = open(new World(), { request: verifyRequest(service.url, 5000, openSecret(undefined, tokenFile)) });
    const missing = await source.ask(question(1), false);
    assert.ok(missing !== 'yes' && missing.detail.includes('the secret cannot be read'));
    for (const token of ['first', 'second']) {
      writeFileSync(tokenFile, `${token}\n`);
      await source.ask(question(1), false);
      assert.equal(service.received.at(-1)?.headers.authorization, `Bearer ${token}`);
    }
  });

  it('asks again for each connection after cacheSeconds, for each address by itself', async () => {
    const world = new World();
    const source = open(world, { cacheSeconds: 10 });
    await source.ask(question(1), false);
    await source.ask(question(1), false);
    assert.equal(service.received.length, 1);
    await source.ask(question(1, '192.0.2.2'), false);
    assert.equal(service.received.length, 2);
    world.pass(10);
    await source.ask(question(1), false);
    assert.equal(service.received.length, 3);
    await source.ask(question(1), true);
    assert.equal(service.received.length, 4, 'a fresh answer is no remembered one');
  });

  it('asks once for connections with one key at one time', async () => {
    const source = open(new World());
    await Promise.all([source.ask(question(1), false), source.ask(question(1), false)]);
    assert.equal(service.received.length, 1);
  });

  it('asks no more than maxConcurrent times at once, and turns away who waits longest when too many wait', async () => {
    let open_ = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const source = open(new World(), {
      maxConcurrent: 2,
      request: async () => {
        most = Math.max(most, ++open_);
        await new Promise<void>((resolve) => waiting.push(resolve));
        open_--;
        return true;
      },
    });
    const asked = Array.from({ length: 2 + 1024 + 1 }, (_, i) =>
      source.ask({ key: i.toString(16).padStart(64, '0'), ip: '' }, false),
    );
    assert.equal(reasonOf(await within(Promise.race(asked), 'a refusal')), 'busy');
    assert.equal(reasonOf(await asked[2]!), 'busy');
    const release = setInterval(() => waiting.splice(0).forEach((resolve) => resolve()), 0);
    const answers = await within(Promise.all(asked.toSpliced(2, 1)), 'all answers');
    clearInterval(release);
    assert.ok(answers.every((answer) => answer === 'yes'));
    assert.equal(most, 2);
  });

  describe('while strangers fill all places', () => {
    /** Makes a source whose requests hang until `answer` is called. Strangers from two addresses have all its waiting places. */
    async function flooded(world = new World()) {
      const hanging = new Map<string, (isYes: boolean) => void>();
      let isQuick = true;
      const source = open(world, {
        maxConcurrent: 2,
        request: ({ key }) => (isQuick ? Promise.resolve(true) : new Promise((resolve) => hanging.set(key, resolve))),
      });
      await source.ask(question(1), false);
      isQuick = false;
      const strangers = Array.from({ length: 3000 }, (_, i) => ({
        key: (i + 1000).toString(16).padStart(64, '0'),
        ip: `198.51.100.${i % 2}`,
      }));
      const refused = strangers.map((stranger) => source.ask(stranger, false));
      return { source, hanging, refused, strangers, world };
    }

    it('a member is in within a second, and judged again when the answer is a no', async () => {
      const { source, hanging, strangers } = await flooded();
      let reviews = 0;
      source.onChange(() => reviews++);
      const startedAt = performance.now();
      assert.equal(await within(source.ask(question(1), false), 'the member'), 'yes');
      // It takes half a second, when the flood does not delay this test itself.
      assert.ok(performance.now() - startedAt < 5000);
      hanging.get(strangers[0]!.key)!(false);
      const answer = source.ask(question(1), true);
      await within(untilThere(hanging, hexKey(1)), 'the member goes before the strangers');
      hanging.get(hexKey(1))!(false);
      assert.equal(reasonOf(await answer), 'unknown_key');
      assert.equal(reviews, 1);
      assert.equal(reasonOf(source.remembered(question(1))), 'unknown_key');
    });

    it('a newcomer from an address of its own is next, and strangers lose their places', async () => {
      const { source, hanging, strangers, refused } = await flooded();
      const newcomer = source.ask(question(2, '203.0.113.9'), false);
      hanging.get(strangers[0]!.key)!(false);
      await within(untilThere(hanging, hexKey(2)), 'the newcomer is asked about');
      hanging.get(hexKey(2))!(true);
      assert.equal(await newcomer, 'yes');
      assert.equal(reasonOf(await refused[2]!), 'busy');
    });

    it('a member of another address goes first, but is not let in unasked', async () => {
      const { source, hanging, strangers } = await flooded();
      const moved = source.ask(question(1, '203.0.113.9'), false);
      hanging.get(strangers[0]!.key)!(false);
      await within(untilThere(hanging, hexKey(1)), 'the member is asked about');
      hanging.get(hexKey(1))!(false);
      assert.equal(reasonOf(await moved), 'unknown_key');
    });

    it('whoever has gone away is not asked about', async () => {
      const { source, hanging, strangers } = await flooded();
      let isGone = false;
      const gone = source.ask({ ...question(3, '203.0.113.3'), isOver: () => isGone }, false);
      isGone = true;
      hanging.get(strangers[0]!.key)!(false);
      assert.equal(reasonOf(await gone), 'busy');
      assert.ok(!hanging.has(hexKey(3)));
    });
  });

  for (const [name, reply] of [
    ['hangs', () => undefined],
    ['refuses', (response) => response.destroy()],
    ['is slow', (response) => void setTimeout(() => response.end('{"Allow":true}'), 3000).unref()],
  ] as [string, FakeService['reply']][]) {
    it(`lets a member in that it knows, with a service that ${name}`, async () => {
      const source = open(new World());
      assert.equal(await source.ask(question(1), false), 'yes');
      service.reply = reply;
      assert.equal(await source.ask(question(1), false), 'yes');
    });
  }

  it('does not fill the log when the service fails in ever new words or now and then', async () => {
    const world = new World();
    const source = open(world);
    for (let i = 0; i < 50; i++) {
      service.reply = i % 2 === 0 ? json({ error: `request ${i}` }, 500) : json({ Allow: true });
      await source.ask(question(i + 1), false);
    }
    assert.ok(world.lines.length <= 2, JSON.stringify(world.lines));
    world.pass(10);
    service.reply = json({}, 502);
    await source.ask(question(1), false);
    assert.match(String((await world.line('does not answer')).fields['error']), /500|502/);
  });

  it('keeps the last answer while the service is down, for keepSeconds', async () => {
    const world = new World();
    const source = open(world, { failOpen: true });
    await source.ask(question(1), false);
    service.reply = json({ Allow: false });
    await source.ask(question(2), false);
    service.reply = (response) => response.destroy();
    assert.equal(await source.ask(question(1), false), 'yes');
    const no = await source.ask(question(2), false);
    assert.ok(no !== 'yes' && no.reason === 'unknown_key', 'a no is kept too, whatever failOpen says');
    assert.equal((await world.line('does not answer')).level, 'warn');
    assert.match(source.state().problem ?? '', /no connection/);
    world.pass(3600);
    assert.equal(reasonOf(await source.ask(question(1), false)), 'unavailable');
    service.reply = json({ Allow: true });
    assert.equal(await source.ask(question(1), false), 'yes');
    await world.line('answers again');
    assert.equal(source.state().problem, null);
  });

  it('names the URL that it asked in what it says, never a token, a password or a query', async () => {
    const world = new World();
    const tokenFile = join(directory.path, 'secret');
    writeFileSync(tokenFile, 'very-secret');
    // The service repeats the request in its answer.
    service.reply = (response, { headers }) => json(headers, 401)(response, service.received[0]!);
    const path = '/hook/T0123456789abcdef?token=hidden';
    const request = verifyRequest(`${service.url}${path}`, 5000, openSecret(undefined, tokenFile));
    const answer = await open(world, { request }).ask(question(1), false);
    assert.ok(answer !== 'yes');
    assert.ok(answer.detail.startsWith(`${service.url}/hook/…?…: it answered 401`), answer.detail);
    assert.doesNotMatch(JSON.stringify([answer, world.lines]), /very-secret|hidden|T0123/);
  });
});

/** Resolves when `map` has `key`. */
async function untilThere(map: ReadonlyMap<string, unknown>, key: string): Promise<void> {
  while (!map.has(key)) await new Promise((resolve) => setImmediate(resolve));
}
