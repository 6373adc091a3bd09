import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { before, describe, it } from 'node:test';
import type { ConnectOptions, ServerVerification, Transport } from '../../src/transport/port.ts';
import { describeCertificate, makeCertificate, type TestCertificate } from './certificates.ts';
import { makeMetaCertificate } from '../../src/certificates/x509/meta-certificate.ts';
import { eventually, Recorder, serve } from './support.ts';

type Expected = 'ok' | `TOWPATH_CONNECT_${string}`;

/** Tests how a client finds, verifies and refuses servers. */
export function connectContract(transport: Transport): void {
  let good: TestCertificate;
  let expired: TestCertificate;
  let meta: TestCertificate;
  before(() => {
    good = makeCertificate(['relay.test', '127.0.0.1']);
    expired = makeCertificate(['relay.test'], -1);
    meta = describeCertificate(makeMetaCertificate(Buffer.alloc(32, 7), Date.now()), '');
  });

  describe('connect() verifies', () => {
    const withMeta = (): TestCertificate => ({ ...good, certPem: `${good.certPem}\n${meta.certPem}` });
    const pin = (sha256: string): ServerVerification => ({ kind: 'pin', sha256 });
    const authority = (name: string, caPem?: string): ServerVerification =>
      caPem === undefined ? { kind: 'ca', name } : { kind: 'ca', name, caPem };
    const cases: {
      name: string;
      server: () => TestCertificate;
      serverName?: string;
      verify: () => ServerVerification;
      expect: Expected;
      chain?: number;
    }[] = [
      { name: 'a pin', server: () => good, verify: () => pin(good.sha256), expect: 'ok', chain: 1 },
      {
        name: 'a pin beside a meta-certificate',
        server: withMeta,
        verify: () => pin(good.sha256),
        expect: 'ok',
        chain: 2,
      },
      { name: 'a wrong pin', server: () => good, verify: () => pin('00'.repeat(32)), expect: 'TOWPATH_CONNECT_PIN' },
      {
        name: 'the pin of the meta-certificate',
        server: withMeta,
        verify: () => pin(meta.sha256),
        expect: 'TOWPATH_CONNECT_PIN',
      },
      {
        name: 'a second certificate behind a pin',
        server: () => ({ ...good, certPem: `${good.certPem}\n${expired.certPem}` }),
        verify: () => pin(good.sha256),
        expect: 'TOWPATH_CONNECT_PIN',
      },
      {
        name: 'an expired pinned one',
        server: () => expired,
        verify: () => pin(expired.sha256),
        expect: 'TOWPATH_CONNECT_PIN',
      },
      {
        name: 'a pinned one for another name',
        server: () => good,
        serverName: 'other.test',
        verify: () => pin(good.sha256),
        expect: 'TOWPATH_CONNECT_PIN',
      },
      {
        name: 'an authority and a name',
        server: withMeta,
        verify: () => authority('relay.test', good.certPem),
        expect: 'ok',
        chain: 2,
      },
      {
        name: 'an authority and an IP',
        server: () => good,
        verify: () => authority('127.0.0.1', good.certPem),
        expect: 'ok',
      },
      {
        name: 'another IP',
        server: () => good,
        verify: () => authority('127.0.0.2', good.certPem),
        expect: 'TOWPATH_CONNECT_TLS',
      },
      {
        name: 'another name',
        server: () => good,
        verify: () => authority('other.test', good.certPem),
        expect: 'TOWPATH_CONNECT_TLS',
      },
      {
        name: 'an unknown authority',
        server: () => good,
        verify: () => authority('relay.test'),
        expect: 'TOWPATH_CONNECT_TLS',
      },
      {
        name: 'an unknown authority behind another server name',
        server: () => good,
        serverName: 'other.test',
        verify: () => authority('relay.test'),
        expect: 'TOWPATH_CONNECT_TLS',
      },
      { name: 'nothing', server: withMeta, verify: () => ({ kind: 'none' }), expect: 'ok', chain: 2 },
    ];
    for (const { name, server, serverName, verify, expect, chain } of cases) {
      it(`${name}: ${expect}`, async () => {
        const serving = await serve(transport, server());
        const end = new Recorder();
        const options: ConnectOptions = {
          host: '127.0.0.1',
          port: serving.port,
          tls: { serverName: serverName ?? 'relay.test', verify: verify() },
          timeoutMs: 4000,
        };
        if (expect === 'ok') {
          const { stream, times } = await transport.connect(options, end);
          assert.equal(stream.tls?.version, 'TLSv1.3');
          assert.ok(times.tcpMs > 0 && times.tlsMs > times.tcpMs);
          if (chain !== undefined) assert.equal(stream.tls.chain.length, chain);
          assert.ok(stream.tls.chain[0] !== undefined && stream.tls.chain[0].length > 100);
          const { stream: served } = await serving.stream();
          assert.equal(served.tls?.serverName, 'relay.test');
          assert.deepEqual(served.remote, stream.local);
          stream.abort();
          await eventually(() => end.closes.length === 1, 'closed');
        } else {
          await assert.rejects(transport.connect(options, end), { code: expect });
          assert.equal(end.closes.length, 0);
        }
        await serving.stop();
      });
    }
  });

  describe('connect() fails with a reason', () => {
    it('an unknown name', async () => {
      const options = { host: 'nothing.invalid', port: 1, tls: null, timeoutMs: 5000 };
      await assert.rejects(transport.connect(options, new Recorder()), { code: 'TOWPATH_CONNECT_DNS' });
    });

    for (const host of ['127.0.0.1', 'localhost']) {
      it(`a closed port at ${host}`, async () => {
        const options = { host, port: 1, tls: null, timeoutMs: 2000 };
        await assert.rejects(transport.connect(options, new Recorder()), { code: 'TOWPATH_CONNECT_TCP' });
      });
    }

    it('a server that is silent instead of speaking TLS', async () => {
      const silent = createServer((socket) => socket.on('error', () => undefined).resume());
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const address = silent.address();
      assert.ok(address !== null && typeof address === 'object');
      const tls = { serverName: '', verify: { kind: 'none' as const } };
      await assert.rejects(
        transport.connect({ host: '127.0.0.1', port: address.port, tls, timeoutMs: 200 }, new Recorder()),
        { code: 'TOWPATH_CONNECT_TIMEOUT' },
      );
      silent.close();
    });

    it('a server that does not speak TLS', async () => {
      const plain = createServer((socket) => socket.on('error', () => undefined).end('220 hello, this is not TLS\r\n'));
      await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
      const address = plain.address();
      assert.ok(address !== null && typeof address === 'object');
      const tls = { serverName: '', verify: { kind: 'none' as const } };
      await assert.rejects(
        transport.connect({ host: '127.0.0.1', port: address.port, tls, timeoutMs: 4000 }, new Recorder()),
        { code: 'TOWPATH_CONNECT_TLS' },
      );
      plain.close();
    });
  });
}
