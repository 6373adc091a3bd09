import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { transport } from '../../src/transport/runtime.ts';
import { withPreamble } from '../../src/transport/shared/with-preamble.ts';
import { encodeProxyHeader } from '../../src/wire/proxy-header.ts';
import { nextPacket, TestRelay, untilClosed, within } from './support.ts';

const DESTINATION = { ip: '198.51.100.7', port: 443 };
/** The source in these tests. It is not in a private network, because no limits apply to these networks. */
const CLIENT = { ip: '203.0.113.9', port: 50_123 };

/** A transport whose connections look as if a proxy made them for `source`. */
function proxied(source = CLIENT): typeof transport {
  return withPreamble(transport, encodeProxyHeader({ source, destination: DESTINATION }));
}

let relay: TestRelay;
afterEach(() => relay.stop());

const PROXY_PROTOCOL = { TOWPATH_PROXY_PROTOCOL: 'true', TOWPATH_PROXY_TRUSTED: '127.0.0.0/8' };

describe('PROXY protocol', () => {
  it('before TLS: clients relay, and the log names the client that the proxy announced', async () => {
    relay = await TestRelay.start(PROXY_PROTOCOL);
    const a = await relay.client({ transport: proxied() });
    const b = await relay.client({ transport: proxied({ ip: '2001:db8::9', port: 9 }) });
    const got = nextPacket(b);
    a.send(b.publicKey, Buffer.from('hello'));
    assert.equal((await got).packet.toString(), 'hello');
    await relay.until(() => relay.lines.some((line) => line.includes('"from":"203.0.113.9:50123"')), 'the log line');
    assert.ok(relay.lines.some((line) => line.includes('"from":"[2001:db8::9]:9"')));
  });

  it('takes a version 1 header that arrives in pieces, together with the start of TLS', async () => {
    relay = await TestRelay.start(PROXY_PROTOCOL);
    const raw = await relay.tcp();
    for (const piece of ['PROXY TCP4 203.0.113.9 19', '8.51.100.7 50123 ', '443\r', '\n']) {
      await new Promise((resolve) => raw.write(piece, resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const tls = connectTls({ socket: raw, rejectUnauthorized: false });
    await within(once(tls, 'secureConnect'), 'TLS');
    tls.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match((await untilClosed(tls)).toString(), /^HTTP\/1\.1 404 /);
  });

  it('applies limits to the announced client, before TLS', async () => {
    relay = await TestRelay.start({ ...PROXY_PROTOCOL, TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '1' });
    await relay.client({ transport: proxied() });
    await assert.rejects(relay.client({ transport: proxied() }));
    await relay.client({ transport: proxied({ ip: '203.0.113.10', port: 1 }) });
    assert.equal(relay.relay.counters.refusals.source_limit, 1);
    assert.ok(relay.lines.some((line) => line.includes('203.0.113.9: too many open connections')));
  });

  it('refuses a trusted peer without a header or with a broken one, and waits for it no longer than configured', async () => {
    relay = await TestRelay.start({ ...PROXY_PROTOCOL, TOWPATH_PROXY_HEADER_MS: '200' });
    await assert.rejects(relay.client());
    const silent = await relay.tcp();
    silent.write('PROXY TCP4');
    await untilClosed(silent);
    const broken = await relay.tcp();
    broken.write('PROXY TCP4 1.2.3.4\r\n');
    await untilClosed(broken);
    assert.equal(relay.relay.counters.refusals.proxy_header, 3);
    // A health check of the proxy: it connects and closes. It must not be logged.
    (await relay.tcp()).end();
    const own = await relay.client({ transport: withPreamble(transport, encodeProxyHeader(null)) });
    assert.ok(own);
    assert.equal(relay.relay.counters.refusals.proxy_header, 3);
  });

  it('does not believe others, who connect directly', async () => {
    relay = await TestRelay.start({ ...PROXY_PROTOCOL, TOWPATH_PROXY_TRUSTED: '10.0.0.0/8' });
    await assert.rejects(relay.client({ transport: proxied() }));
    await relay.client();
    assert.equal(relay.relay.counters.refusals.tls_error, 1);
    assert.equal(relay.relay.counters.openStreams, 1);
  });

  it('counts what was announced back to nothing', async () => {
    relay = await TestRelay.start({ ...PROXY_PROTOCOL, TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '1' });
    for (let i = 0; i < 3; i++) {
      const client = await relay.client({ transport: proxied() });
      client.abort();
      await relay.until(() => relay.relay.counters.openStreams === 0, 'the stream is released');
    }
    assert.equal(relay.relay.counters.refusals.source_limit, 0);
  });
});

const PLAIN = { TOWPATH_TRANSPORT: 'plain' };

/** Sends one request on its own connection; returns the answer. */
async function ask(head: string): Promise<string> {
  const socket = await relay.tcp();
  socket.write(`${head}\r\n\r\n`);
  return (await untilClosed(socket)).toString('latin1');
}

describe('plain mode, behind a proxy that does TLS', () => {
  it('relays over an upgrade and over WebSocket', async () => {
    relay = await TestRelay.start(PLAIN);
    const url = `http://127.0.0.1:${relay.port}/derp`;
    const a = await relay.client({ url });
    const b = await relay.client({ url, websocket: true });
    const got = nextPacket(b);
    a.send(b.publicKey, Buffer.from('over'));
    assert.equal((await got).packet.toString(), 'over');
    const back = nextPacket(a);
    b.send(a.publicKey, Buffer.alloc(60_000, 7));
    assert.equal((await back).packet.length, 60_000);
  });

  it('believes X-Forwarded-For of the proxy: in the log, and for limits', async () => {
    relay = await TestRelay.start({ ...PLAIN, TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '1' });
    const upgrade = (client: string): string =>
      `GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ${client}`;
    const held = await relay.tcp();
    held.write(`${upgrade('203.0.113.9')}\r\n\r\n`);
    assert.match(String(await within(once(held, 'data'), 'the answer')), /^HTTP\/1\.1 101 /);
    assert.match(await ask(upgrade('203.0.113.9')), /^HTTP\/1\.1 429 /);
    const other = await relay.tcp();
    other.write(`${upgrade('203.0.113.10')}\r\n\r\n`);
    assert.match(String(await within(once(other, 'data'), 'the answer')), /^HTTP\/1\.1 101 /);
    assert.ok(relay.lines.some((line) => line.includes('203.0.113.9: too many open connections')));
    held.destroy();
    other.destroy();
    await relay.until(() => relay.relay.counters.openStreams === 0, 'all gone');
    const again = await relay.tcp();
    again.write(`${upgrade('203.0.113.9')}\r\n\r\n`);
    assert.match(String(await within(once(again, 'data'), 'the answer')), /^HTTP\/1\.1 101 /);
    again.destroy();
  });

  it('lets nobody else in', async () => {
    relay = await TestRelay.start({ ...PLAIN, TOWPATH_PROXY_TRUSTED: '10.0.0.0/8' });
    await assert.rejects(relay.client({ url: `http://127.0.0.1:${relay.port}/derp` }));
    assert.equal(relay.relay.counters.refusals.untrusted_proxy, 1);
  });

  it('with a PROXY header: the announced client is no proxy, so its own headers are not believed', async () => {
    relay = await TestRelay.start({ ...PLAIN, ...PROXY_PROTOCOL });
    const socket = await relay.tcp();
    socket.write(encodeProxyHeader({ source: CLIENT, destination: DESTINATION }));
    socket.write(
      'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: nonsense\r\nX-Forwarded-For: 203.0.113.77\r\nbad header\r\n\r\n',
    );
    assert.match((await untilClosed(socket)).toString(), /^HTTP\/1\.1 400 /);
    assert.ok(relay.lines.some((line) => line.includes('head_invalid') && line.includes('203.0.113.9')));
    const direct = withPreamble(transport, Buffer.from('PROXY UNKNOWN\r\n'));
    await relay.client({ url: `http://127.0.0.1:${relay.port}/derp`, transport: direct });
  });

  it('with a PROXY header: who is no trusted proxy is refused', async () => {
    relay = await TestRelay.start({ ...PLAIN, TOWPATH_PROXY_PROTOCOL: 'true', TOWPATH_PROXY_TRUSTED: '10.0.0.0/8' });
    await assert.rejects(relay.client({ url: `http://127.0.0.1:${relay.port}/derp`, transport: proxied() }));
    assert.equal(relay.relay.counters.refusals.untrusted_proxy, 1);
  });
});

describe('a proxy that speaks TLS to the relay', () => {
  it('is believed when it is trusted: the client is in the log, and has limits of its own', async () => {
    relay = await TestRelay.start({ TOWPATH_LIMITS_CONNECTIONS_PER_SOURCE: '1' });
    const head = (path: string, rest: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${rest}\r\n\r\n`;
    const upgrade = (client: string): string =>
      head('/derp', `Upgrade: DERP\r\nConnection: Upgrade\r\nX-Forwarded-For: ${client}`);
    const held = await relay.tls();
    held.write(upgrade('203.0.113.9'));
    assert.match(String(await within(once(held, 'data'), 'the answer')), /^HTTP\/1\.1 101 /);
    const second = await relay.tls();
    second.write(upgrade('203.0.113.9'));
    assert.match((await untilClosed(second)).toString(), /^HTTP\/1\.1 429 /);
    assert.ok(relay.lines.some((line) => line.includes('203.0.113.9: too many open connections')));
  });

  it('is not believed when it is not trusted', async () => {
    relay = await TestRelay.start({ TOWPATH_PROXY_TRUSTED: '10.0.0.0/8' });
    const socket = await relay.tls();
    socket.write(
      'GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n',
    );
    assert.match(String(await within(once(socket, 'data'), 'the answer')), /^HTTP\/1\.1 101 /);
    socket.destroy();
    await relay.until(() => relay.relay.counters.openStreams === 0, 'the end');
    assert.ok(!relay.lines.some((line) => line.includes('203.0.113.9')));
  });
});
