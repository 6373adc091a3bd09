import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { before, describe, it } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import type { HandshakeFailure, Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { eventually, quiet, securePeer, serve, tcpPeer, tlsPeer } from './support.ts';

/** The start of a ClientHello: a record header that promises 512 bytes, and a handshake header. */
const HELLO_START = Buffer.from('1603010200010001fc0303', 'hex');
const TIMEOUT_MS = 500;
const PATIENT_MS = 20_000;

/** Behaviour of a connection instead of a TLS handshake. */
export const HOSTILE_STARTS: Readonly<Record<string, { act: (peer: Socket) => void; failures: HandshakeFailure[] }>> = {
  FIN: { act: (peer) => peer.end(), failures: ['tls_closed'] },
  RST: { act: (peer) => peer.resetAndDestroy(), failures: ['tls_closed'] },
  garbage: { act: (peer) => peer.write(Buffer.alloc(600, 0x41)), failures: ['tls_error'] },
  'a plain HTTP request': { act: (peer) => peer.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), failures: ['tls_error'] },
  silence: { act: () => undefined, failures: ['tls_timeout'] },
  'half a ClientHello, then silence': { act: (peer) => peer.write(HELLO_START), failures: ['tls_timeout'] },
  'half a ClientHello, then FIN': { act: (peer) => peer.end(HELLO_START), failures: ['tls_closed', 'tls_error'] },
  'half a ClientHello, then RST': {
    act: (peer) => peer.write(HELLO_START, () => peer.resetAndDestroy()),
    failures: ['tls_closed'],
  },
};

/** Tests handshakes: which succeed, and how the others are counted. */
export function handshakeContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  describe('TLS handshakes that fail', () => {
    for (const [name, { act, failures }] of Object.entries(HOSTILE_STARTS)) {
      it(`${name}: failed() once, the descriptor is closed`, async () => {
        // The other failures must come first, also on a busy machine.
        const handshakeTimeoutMs = failures.includes('tls_timeout') ? TIMEOUT_MS : PATIENT_MS;
        const serving = await serve(transport, certificate, { handshakeTimeoutMs });
        const peer = await tcpPeer(serving.port);
        peer.resume();
        act(peer);
        await eventually(() => serving.failures.length > 0 && peer.destroyed, 'failed and closed');
        await quiet(20);
        assert.equal(serving.failures.length, 1);
        const { failure, remote } = serving.failures[0]!;
        assert.ok(
          failures.some((one) => one === failure),
          `${failure}: ${serving.failures[0]!.detail}`,
        );
        assert.deepEqual(remote, serving.acceptedFrom[0]);
        assert.equal(serving.streams.length, 0);
        await serving.stop();
      });
    }

    it('a slow drip of a ClientHello does not move the deadline', async () => {
      const serving = await serve(transport, certificate, { handshakeTimeoutMs: TIMEOUT_MS });
      const started = performance.now();
      const peer = await tcpPeer(serving.port);
      peer.write(HELLO_START);
      const drip = setInterval(() => peer.write(Buffer.from([0])), 20);
      await eventually(() => serving.failures.length > 0, 'failed', TIMEOUT_MS * 2);
      clearInterval(drip);
      assert.ok(performance.now() - started >= TIMEOUT_MS - 20);
      assert.equal(serving.failures[0]!.failure, 'tls_timeout');
      await eventually(() => peer.destroyed, 'connection closed');
      await serving.stop();
    });

    it('a connection refused in accepted() is reset before TLS and counted nowhere else', async () => {
      const serving = await serve(transport, certificate);
      serving.admit = false;
      assert.equal(await tlsPeer(serving.port), null);
      await quiet(20);
      assert.deepEqual([serving.acceptedFrom.length, serving.failures.length, serving.streams.length], [1, 0, 0]);
      await serving.stop();
    });

    it('a handshake that is given up is reset, and only its release is told', async () => {
      const serving = await serve(transport, certificate);
      const peer = await tcpPeer(serving.port);
      peer.write(HELLO_START);
      await eventually(() => serving.handshakes.length > 0, 'the handshake begins');
      serving.handshakes[0]!.abort();
      await eventually(() => peer.destroyed, 'connection closed');
      await eventually(() => serving.releases === 1, 'released');
      assert.deepEqual([serving.failures.length, serving.streams.length], [0, 0]);
      await serving.stop();
    });

    const refused: Record<string, ConnectionOptions> = {
      // OpenSSL uses TLS 1.1 only with this setting; BoringSSL does not have the setting.
      'TLS 1.1': {
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ...('bun' in process.versions ? {} : { ciphers: 'DEFAULT:@SECLEVEL=0' }),
      },
      'a CBC suite': { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA' },
      'h2 as the only protocol': { ALPNProtocols: ['h2'] },
    };
    for (const [name, options] of Object.entries(refused)) {
      it(`${name} is refused`, async () => {
        const serving = await serve(transport, certificate);
        assert.equal(await tlsPeer(serving.port, options), null);
        await eventually(() => serving.failures.length > 0, 'failed');
        assert.equal(serving.failures[0]!.failure, 'tls_error', serving.failures[0]!.detail);
        assert.equal(serving.streams.length, 0);
        await serving.stop();
      });
    }
  });

  describe('TLS handshakes that succeed', () => {
    const offers: { name: string; options: ConnectionOptions; version: string; alpn: string; cipher: RegExp }[] = [
      { name: 'no ALPN', options: {}, version: 'TLSv1.3', alpn: '', cipher: /^TLS_AES_128_GCM/ },
      {
        name: 'h2 and http/1.1',
        options: { ALPNProtocols: ['h2', 'http/1.1'] },
        version: 'TLSv1.3',
        alpn: 'http/1.1',
        cipher: /^TLS_AES_128_GCM/,
      },
      {
        name: 'TLS 1.2',
        options: { maxVersion: 'TLSv1.2' },
        version: 'TLSv1.2',
        alpn: '',
        cipher: /^ECDHE-ECDSA-.*(GCM|POLY)/,
      },
    ];
    for (const { name, options, version, alpn, cipher } of offers) {
      it(name, async () => {
        const serving = await serve(transport, certificate);
        const { tls } = await securePeer(serving.port, { servername: 'relay.test', ...options });
        const { stream } = await serving.stream();
        assert.deepEqual(stream.tls, { version, alpn, serverName: 'relay.test', chain: [] });
        assert.match(tls.getCipher().name, cipher);
        assert.deepEqual(stream.local, { ip: '127.0.0.1', port: serving.port });
        assert.deepEqual(stream.remote, serving.acceptedFrom[0]);
        tls.destroy();
        await serving.stop();
      });
    }

    it('a new certificate is for new connections, old ones live on, a wrong pair changes nothing', async () => {
      const serving = await serve(transport, certificate);
      const first = await securePeer(serving.port);
      const next = makeCertificate(['next.test']);
      assert.throws(
        () => serving.listener.replaceCertificate({ certPem: next.certPem, keyPem: certificate.keyPem }),
        (error: Error & { code?: string }) => error.code === 'TOWPATH_CERTIFICATE_PAIR',
      );
      const unchanged = await securePeer(serving.port);
      assert.equal(unchanged.tls.getPeerCertificate().subject.CN, 'relay.test');
      serving.listener.replaceCertificate(next);
      const second = await securePeer(serving.port);
      assert.equal(second.tls.getPeerCertificate().subject.CN, 'next.test');
      first.tls.write('still here');
      await eventually(() => serving.ends[0]?.text() === 'still here', 'bytes on the old connection');
      for (const { tls } of [first, unchanged, second]) tls.destroy();
      await serving.stop();
    });
  });
}
