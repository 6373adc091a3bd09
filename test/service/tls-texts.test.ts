import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { connectDerp } from '../../src/client/connect.ts';
import { Clock } from '../../src/base/clock.ts';
import { TowpathError } from '../../src/base/errors.ts';
import { requestHttp } from '../../src/transport/http/request.ts';
import { transport } from '../../src/transport/runtime.ts';
import { TestRelay } from './support.ts';

/** Texts that must not be in the log. */
const INTERNAL = /error:[0-9A-F]{8}|routines|OPENSSL|BoringSSL|EPROTO|\.c:\d/i;

suite('what a TLS library says reaches nobody', () => {
  let relay: TestRelay;
  // A relay for each test: one relay logs a kind of error once in ten seconds.
  beforeEach(async () => {
    relay = await TestRelay.start();
  });
  afterEach(() => relay.stop());

  async function logged(text: string): Promise<void> {
    await relay.until(() => relay.lines.some((line) => line.includes(text)), text);
    assert.deepEqual(
      relay.lines.filter((line) => INTERNAL.test(line)),
      [],
    );
  }

  test('plain HTTP on the TLS port of the relay', async () => {
    const socket = await relay.tcp();
    socket.write('GET / HTTP/1.1\r\nHost: relay\r\n\r\n');
    await logged('plain HTTP came to a port with TLS');
    socket.destroy();
  });

  for (const [what, options, text] of [
    [
      'an old version',
      { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
      'no TLS version in common',
    ],
    ['no cipher in common', { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }, 'no cipher suite in common'],
  ] as const satisfies readonly (readonly [string, ConnectionOptions, string])[]) {
    // BoringSSL does not have the old versions and some of the old suites.
    test(`a client with ${what}`, { skip: transport.runtime === 'bun' }, async () => {
      const socket = connect({ port: relay.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
      await once(socket, 'error');
      await logged(text);
    });
  }

  test('a server that speaks plain HTTP where TLS is expected', async () => {
    const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const clock = new Clock();
    clock.start();
    try {
      const derp = connectDerp({ transport, clock, url: `https://127.0.0.1:${port}/derp`, verify: { kind: 'none' } });
      const error = await derp.then(
        () => assert.fail(),
        (found: unknown) => found,
      );
      assert.ok(error instanceof TowpathError);
      assert.match(
        error.message,
        /^TLS with 127\.0\.0\.1:\d+ failed: the other side does not speak TLS on this port\.$/,
      );
      assert.match(error.hint ?? '', /http:\/\//);
      const request = requestHttp({
        url: `https://127.0.0.1:${port}/`,
        method: 'GET',
        headers: {},
        timeoutMs: 20_000,
        limitBytes: 1000,
        environment: null,
      });
      const failure = await request.then(
        () => assert.fail(),
        (found: unknown) => found,
      );
      assert.match(String(failure), /does not speak TLS on this port/);
      assert.doesNotMatch(String(failure), INTERNAL);
    } finally {
      clock.stop();
      server.close();
    }
  });
});
