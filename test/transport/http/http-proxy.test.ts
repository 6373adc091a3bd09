import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, request, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, type AddressInfo, type Server as NetServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { HttpFailure } from '../../../src/transport/http/failure.ts';
import { chooseProxy } from '../../../src/transport/http/proxy-choice.ts';
import { requestHttp } from '../../../src/transport/http/request.ts';
import { makeCertificate } from '../certificates.ts';

const listen = async (server: NetServer): Promise<number> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

describe('a proxy of the environment', () => {
  const pair = makeCertificate(['hook.test']);
  const seen: string[] = [];
  const credentials: (string | undefined)[] = [];
  let answer = 200;
  const web = createHttp((_request, response) => response.end('plain'));
  const secure = createHttps({ cert: pair.certPem, key: pair.keyPem }, (_request, response) => response.end('secure'));
  /** A forward proxy that connects to the loopback for every name. */
  const proxy: Server = createHttp((asked, response) => {
    seen.push(`${asked.method} ${asked.url}`);
    credentials.push(asked.headers['proxy-authorization']);
    const { port, pathname } = new URL(asked.url!);
    request({ host: '127.0.0.1', port, path: pathname, headers: asked.headers }, (got) => got.pipe(response)).end();
  }).on('connect', (asked, socket) => {
    seen.push(`CONNECT ${asked.url}`);
    credentials.push(asked.headers['proxy-authorization']);
    if (answer !== 200) return void socket.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
    const onward = connect(Number(asked.url!.split(':').pop()), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  let ports = { web: 0, secure: 0, proxy: 0 };
  before(async () => {
    ports = { web: await listen(web), secure: await listen(secure), proxy: await listen(proxy) };
  });
  after(() => {
    for (const server of [web, secure, proxy]) {
      server.close();
      server.closeAllConnections();
    }
  });

  const get = (url: string, environment: Record<string, string>) =>
    requestHttp({
      url,
      method: 'GET',
      headers: {},
      timeoutMs: 20_000,
      limitBytes: 1000,
      environment,
      caPem: pair.certPem,
    });

  for (const name of ['HTTPS_PROXY', 'https_proxy']) {
    it(`makes a tunnel for HTTPS by ${name}, with its user and password`, async () => {
      seen.length = credentials.length = 0;
      const url = `https://hook.test:${ports.secure}/x`;
      const { body } = await get(url, { [name]: `http://us%40${name}:pass@127.0.0.1:${ports.proxy}` });
      assert.equal(body.toString(), 'secure');
      assert.deepEqual(seen, [`CONNECT hook.test:${ports.secure}`]);
      assert.equal(credentials[0], `Basic ${Buffer.from(`us@${name}:pass`).toString('base64')}`);
    });
  }

  it('forwards plain HTTP by HTTP_PROXY, of a name that only the proxy can resolve', async () => {
    seen.length = 0;
    const url = `http://hook.invalid:${ports.web}/x`;
    assert.equal((await get(url, { HTTP_PROXY: `127.0.0.1:${ports.proxy}` })).body.toString(), 'plain');
    assert.deepEqual(seen, [`GET ${url}`]);
  });

  it('is not asked for what NO_PROXY names', async () => {
    seen.length = 0;
    const environment = { HTTP_PROXY: `http://127.0.0.1:${ports.proxy}`, no_proxy: 'x.example, 127.0.0.0/8' };
    assert.equal((await get(`http://127.0.0.1:${ports.web}/`, environment)).body.toString(), 'plain');
    assert.deepEqual(seen, []);
  });

  it('counts as an answer when it refuses, and as none when it is not there; its password is not told', async () => {
    const failure = async (environment: Record<string, string>): Promise<HttpFailure> => {
      const error: unknown = await get('https://hook.invalid/', environment).catch((reason: unknown) => reason);
      assert.ok(error instanceof HttpFailure);
      assert.doesNotMatch(error.message, /secret/);
      return error;
    };
    answer = 407;
    const refused = await failure({ HTTPS_PROXY: `http://u:secret@127.0.0.1:${ports.proxy}` });
    assert.equal(refused.kind, 'answer');
    assert.match(
      refused.message,
      /the proxy 127\.0\.0\.1:\d+ \(HTTPS_PROXY\) answered 407 to CONNECT hook\.invalid:443/,
    );
    answer = 200;
    const gone = await failure({ https_proxy: 'http://u:secret@127.0.0.1:1' });
    assert.equal(gone.kind, 'unreachable');
    assert.match(gone.message, /no connection to the proxy 127\.0\.0\.1:1 \(https_proxy\)/);
    for (const wrong of ['socks5://u:secret@127.0.0.1:1', 'http://u:secret@:x', ':secret']) {
      assert.equal((await failure({ HTTPS_PROXY: wrong })).kind, 'local');
    }
  });
});

describe('the choice of a proxy', () => {
  const uses = (url: string, noProxy: string): boolean =>
    chooseProxy(new URL(url), { HTTPS_PROXY: 'http://p:1', HTTP_PROXY: 'http://p:1', NO_PROXY: noProxy }) !== null;

  it('follows NO_PROXY as other programs do', () => {
    const exempt: [string, string][] = [
      ['https://a.example/', '*'],
      ['https://a.example/', 'A.Example'],
      ['https://x.a.example/', 'a.example'],
      ['https://x.a.example/', 'b.example .a.example'],
      ['https://x.a.example/', '*.a.example'],
      ['https://a.example:8443/', 'a.example:8443'],
      ['https://a.example./', 'a.example'],
      ['http://10.1.2.3/', '10.0.0.0/8'],
      ['http://[::1]:80/', '::1'],
      ['http://[2001:db8::5]/', '[2001:db8::5]:80'],
      ['https://localhost/', 'localhost'],
    ];
    for (const [url, list] of exempt) assert.equal(uses(url, list), false, `${url} ${list}`);
    const proxied: [string, string][] = [
      ['https://a.example/', ''],
      ['https://ba.example/', 'a.example'],
      ['https://a.example/', 'a.example:8443'],
      ['http://11.1.2.3/', '10.0.0.0/8'],
      ['http://127.0.0.1/', 'localhost'],
      ['https://a.example/', ' , ,'],
    ];
    for (const [url, list] of proxied) assert.equal(uses(url, list), true, `${url} ${list}`);
  });

  it('never throws for a list of exemptions, whatever it holds', () => {
    fc.assert(fc.property(fc.string(), (list) => typeof uses('https://a.example/', list) === 'boolean'));
  });
});
