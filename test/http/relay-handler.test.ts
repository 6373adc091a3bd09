import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { BootstrapDns } from '../../src/http/bootstrap-dns.ts';
import { type HomeSettings, loadHomePage } from '../../src/http/home-page.ts';
import { createRelayHttpHandler, type RelayHttpOptions } from '../../src/http/relay-handler.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { Counters } from '../../src/observe/counters.ts';
import { type Answer, ask, exchange, listen } from './http-client.ts';

type SetUp = Partial<Omit<RelayHttpOptions, 'home'>> & { home?: HomeSettings['mode'] };

function relay({ home = 'neutral', ...options }: SetUp = {}) {
  return createRelayHttpHandler({ home: loadHomePage({ mode: home, url: 'https://example.com/' }), ...options });
}
const main = (t: TestContext, options?: SetUp): Promise<number> => listen(t, createHttpServer(relay(options).main));
const port80 = (t: TestContext, options?: SetUp): Promise<number> => listen(t, createHttpServer(relay(options).port80));

async function names(): Promise<BootstrapDns> {
  const dns = new BootstrapDns({
    published: ['relay.example.com'],
    unpublished: ['hidden.example.com'],
    counters: new Counters(),
    clock: new Clock(),
    resolver: {
      addresses: (name) => Promise.resolve([name.startsWith('hidden') ? '192.0.2.9' : '192.0.2.1']),
      texts: () => Promise.resolve([]),
      cancel: () => undefined,
    },
  });
  await dns.refresh();
  return dns;
}

const browserHeaders = (answer: Answer): boolean =>
  answer.headers['strict-transport-security'] === 'max-age=63072000; includeSubDomains' &&
  answer.headers['x-frame-options'] === 'DENY' &&
  answer.headers['x-content-type-options'] === 'nosniff' &&
  String(answer.headers['content-security-policy']).startsWith("default-src 'self'; frame-ancestors 'none'");

describe('probes and captive-portal check', () => {
  it('§9.69 /derp/probe and /derp/latency-check give 200 with CORS, /derp without upgrade gives 426', async (t) => {
    const port = await main(t, { home: 'full' });
    for (const path of ['/derp/probe', '/derp/latency-check', '/derp/latency-check?x=1']) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(port, path, { method });
        assert.deepEqual([answer.status, answer.body], [200, '']);
        assert.equal(answer.headers['access-control-allow-origin'], '*');
        assert.equal(answer.headers['x-frame-options'], undefined);
      }
    }
    const answer = await ask(port, '/derp');
    assert.deepEqual([answer.status, answer.body], [426, 'DERP requires connection upgrade\n']);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  });

  it('§9.70 a POST to a probe path gives 405 without CORS', async (t) => {
    const port = await main(t);
    const answer = await ask(port, '/derp/probe', { method: 'POST', body: 'x' });
    assert.deepEqual([answer.status, answer.body], [405, 'bogus probe method\n']);
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
  });

  it('§9.72 /generate_204 answers a well-formed challenge and no other, on both listeners', async (t) => {
    for (const port of [await main(t), await port80(t)]) {
      const respond = async (challenge?: string): Promise<unknown> => {
        const headers = challenge === undefined ? {} : { 'X-Tailscale-Challenge': challenge };
        const answer = await ask(port, '/generate_204?t=1', { headers });
        assert.equal(answer.status, 204);
        assert.equal(answer.headers['cache-control'], 'no-cache, no-store, must-revalidate, no-transform, max-age=0');
        return answer.headers['x-tailscale-response'];
      };
      assert.equal(await respond('input'), 'response input');
      assert.equal(await respond('ts_derp99b.tailscale.com'), 'response ts_derp99b.tailscale.com');
      assert.equal(await respond('a'.repeat(64)), `response ${'a'.repeat(64)}`);
      for (const bad of [undefined, '', 'with space', 'a'.repeat(65), 'umlaut\xe4', 'a/b', 'a,b']) {
        assert.equal(await respond(bad), undefined, bad);
      }
      assert.equal((await ask(port, '/generate_204', { method: 'POST' })).status, 204);
    }
  });

  it('§9.73 the captive-portal detector’s own challenge is answered', async (t) => {
    const port = await port80(t);
    const headers = { 'X-Tailscale-Challenge': 'ts_192.0.2.1' };
    const answer = await ask(port, '/generate_204?t=1700000000', { headers });
    assert.equal(answer.headers['x-tailscale-response'], 'response ts_192.0.2.1');
  });
});

describe('home page', () => {
  it('neutral: every path that no client needs gives the same bare 404', async (t) => {
    const port = await main(t);
    const expected = await ask(port, '/no-such-page');
    assert.equal(expected.status, 404);
    assert.doesNotMatch(JSON.stringify(expected), /derp|relay|towpath|tailscale/i);
    const heads = ['content-type', 'content-length', 'connection'];
    const shape = (answer: Answer): unknown[] => [answer.status, answer.body, Object.keys(answer.headers).sort()];
    for (const path of [
      '/',
      '/derp',
      '/derp?x',
      '/derp/',
      '/robots.txt',
      '/bootstrap-dns',
      '/debug/',
      '/index.html',
      '//',
    ]) {
      const answer = await ask(port, path);
      assert.deepEqual(shape(answer), shape(expected), path);
      for (const name of heads) assert.equal(answer.headers[name], expected.headers[name]);
    }
    assert.deepEqual(shape(await ask(port, '/', { method: 'POST' })), shape(expected));
    const upgrade = await ask(port, '/derp', { headers: { Connection: 'Upgrade', Upgrade: 'h2c' } });
    const kept = await ask(port, '/', { headers: { Connection: 'keep-alive' } });
    assert.deepEqual(shape(upgrade), shape(kept));
    assert.equal(upgrade.body, expected.body);
    for (const name of ['server', 'x-powered-by', 'strict-transport-security']) {
      assert.equal(expected.headers[name], undefined);
    }
  });

  it('full: /, and any unmatched path, say what this is, with browser headers', async (t) => {
    const port = await main(t, { home: 'full' });
    for (const path of ['/', '/foo', '/derp/', '/debug/']) {
      const answer = await ask(port, path);
      assert.equal(answer.status, 200);
      assert.match(answer.body, /DERP relay/);
      assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
      assert.ok(browserHeaders(answer));
    }
    const robots = await ask(port, '/robots.txt');
    assert.equal(robots.body, 'User-agent: *\nDisallow: /\n');
    assert.equal(robots.headers['content-type'], 'text/plain; charset=utf-8');
    assert.ok(browserHeaders(robots));
  });

  it('blank and redirect: no path tells more than another', async (t) => {
    for (const home of ['blank', 'redirect'] as const) {
      const port = await main(t, { home });
      const expected = await ask(port, '/');
      for (const path of ['/derp', '/robots.txt', '/bootstrap-dns', '/nowhere']) {
        const answer = await ask(port, path);
        assert.deepEqual(
          [answer.status, answer.body, answer.headers.location],
          [expected.status, expected.body, expected.headers.location],
          `${home} ${path}`,
        );
        assert.doesNotMatch(JSON.stringify(answer), /derp|relay|towpath|tailscale/i);
      }
    }
  });

  it('blank and redirect', async (t) => {
    const blank = await ask(await main(t, { home: 'blank' }), '/');
    assert.deepEqual([blank.status, blank.body, blank.headers['content-type']], [200, '', 'text/html; charset=utf-8']);
    assert.ok(browserHeaders(blank));
    const redirect = await ask(await main(t, { home: 'redirect' }), '/');
    assert.deepEqual([redirect.status, redirect.headers.location], [302, 'https://example.com/']);
  });

  it('can be replaced while running', async (t) => {
    const http = relay();
    const port = await listen(t, createHttpServer(http.main));
    assert.equal((await ask(port, '/')).status, 404);
    http.setHome(loadHomePage({ mode: 'blank' }));
    assert.equal((await ask(port, '/')).status, 200);
  });
});

describe('/bootstrap-dns', () => {
  it('§9.74 returns an unpublished name to who asks for it and never else', async (t) => {
    const port = await main(t, { bootstrapDns: await names() });
    const published = '{\n\t"relay.example.com": [\n\t\t"192.0.2.1"\n\t]\n}';
    for (const query of ['', '?q=', '?q=relay.example.com', '?q=other.example.com', '?p=hidden.example.com']) {
      const answer = await ask(port, `/bootstrap-dns${query}`);
      assert.deepEqual([answer.status, answer.body], [200, published], query);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.headers.connection, 'close');
      assert.ok(browserHeaders(answer));
    }
    const hidden = await ask(port, '/bootstrap-dns?q=hidden.example.com');
    assert.equal(hidden.body, '{\n\t"hidden.example.com": [\n\t\t"192.0.2.9"\n\t]\n}');
  });

  it('is empty without names, where the home page is not neutral', async (t) => {
    const answer = await ask(await main(t, { home: 'full' }), '/bootstrap-dns');
    assert.deepEqual([answer.status, answer.body], [200, '']);
  });
});

describe('port 80', () => {
  it('§9.79 redirects GET /path?a=b to https://<host>/path?a=b with 302', async (t) => {
    const port = await port80(t);
    const redirect = async (path: string, host: string): Promise<unknown> => {
      const answer = await ask(port, path, { headers: { Host: host } });
      return answer.status === 302 ? answer.headers.location : answer.status;
    };
    assert.equal(await redirect('/path?a=b', 'derp.example.com'), 'https://derp.example.com/path?a=b');
    assert.equal(await redirect('/', 'derp.example.com:80'), 'https://derp.example.com/');
    assert.equal(await redirect('/x', '[2001:db8::1]:80'), 'https://[2001:db8::1]/x');
    assert.equal(await redirect('http://other.example.com/x', 'a.example.com'), 'https://a.example.com/x');
    for (const host of ['a b', 'a/b', 'evil.com@good.com', '-a.com', 'a..b', '[fe80::1%25x]', '[x]', 'a:b', '<x>']) {
      assert.equal(await redirect('/', host), 400, host);
    }
    for (const bytes of ['GET / HTTP/1.0\r\n\r\n', 'GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n']) {
      assert.match(await exchange(port, bytes), /^HTTP\/1\.1 400 /);
    }
    assert.equal(await redirect('*', 'a.example.com'), 400);
    assert.equal((await ask(port, '/debug/', { headers: { Host: 'a.example.com' } })).status, 302);
    const other = await port80(t, { httpsPort: 8443 });
    const answer = await ask(other, '/x', { method: 'HEAD', headers: { Host: 'a.example.com:8080' } });
    assert.equal(answer.headers.location, 'https://a.example.com:8443/x');
  });

  it('§9.104 a POST to anything but /generate_204 gives 400', async (t) => {
    const port = await port80(t);
    for (const path of ['/', '/x', '/derp', '/derp/probe', '/bootstrap-dns']) {
      const answer = await ask(port, path, { method: 'POST', body: 'x'.repeat(100) });
      assert.deepEqual([answer.status, answer.body], [400, 'Use HTTPS\n']);
      assert.equal(answer.headers.connection, 'close');
    }
  });

  it('answers ACME HTTP-01 challenges of ours, also to POST, and redirects them when there is no hook', async (t) => {
    const asked: string[] = [];
    const challengeResponse = (token: string): string | null => {
      asked.push(token);
      return token === 'known' ? 'known.thumbprint' : null;
    };
    const port = await port80(t, { challengeResponse });
    const path = '/.well-known/acme-challenge/';
    const answer = await ask(port, `${path}known`);
    assert.deepEqual([answer.status, answer.body], [200, 'known.thumbprint']);
    assert.equal((await ask(port, `${path}unknown`)).status, 404);
    assert.equal((await ask(port, `${path}../x`)).status, 404);
    assert.equal((await ask(port, path)).status, 404);
    assert.deepEqual(asked, ['known', 'unknown']);
    assert.equal((await ask(await port80(t), `${path}known`)).status, 302);
  });
});
