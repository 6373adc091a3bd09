import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { before, describe, it } from 'node:test';
import type { ServerTls, Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { eventually, securePeer, serve, tcpPeer, tlsPeer } from './support.ts';

const ACME = { servername: 'relay.test', ALPNProtocols: ['acme-tls/1'] };

/** Tests certificates that are chosen by ALPN: the challenge of RFC 8737. */
export function challengeContract(transport: Transport): void {
  let certificate: TestCertificate;
  let proof: TestCertificate;
  let challenge: NonNullable<ServerTls['challenge']>;
  before(() => {
    certificate = makeCertificate(['relay.test']);
    proof = makeCertificate(['proof.test']);
    challenge = (serverName) => (serverName === 'relay.test' ? proof : null);
  });

  describe('acme-tls/1', () => {
    it('gets the proof for its name; everybody else gets the certificate', async () => {
      const serving = await serve(transport, certificate, { challenge });
      const seen: unknown[] = [];
      const offers = [
        ACME,
        { servername: 'relay.test' },
        { servername: 'relay.test', ALPNProtocols: ['http/1.1'] },
        {},
      ];
      for (const [i, options] of offers.entries()) {
        const { tls } = await securePeer(serving.port, options);
        await serving.stream(i);
        seen.push(tls.getPeerCertificate().subject.CN, tls.alpnProtocol);
        tls.destroy();
      }
      assert.deepEqual(seen, [
        'proof.test',
        'acme-tls/1',
        ...['relay.test', false, 'relay.test', 'http/1.1', 'relay.test', false],
      ]);
      const { stream } = await serving.stream();
      assert.equal(stream.tls?.alpn, 'acme-tls/1');
      await serving.stop();
    });

    it('is refused for another name and for none', async () => {
      const serving = await serve(transport, certificate, { challenge });
      assert.equal(await tlsPeer(serving.port, { ...ACME, servername: 'other.test' }), null);
      assert.equal(await tlsPeer(serving.port, { ALPNProtocols: ACME.ALPNProtocols }), null);
      await eventually(() => serving.failures.length === 2, 'both failed');
      assert.ok(serving.failures.every(({ failure }) => failure === 'tls_error'));
      await serving.stop();
    });

    it('is refused where nobody asked for a proof', async () => {
      const serving = await serve(transport, certificate);
      assert.equal(await tlsPeer(serving.port, ACME), null);
      await eventually(() => serving.failures.length === 1, 'failed');
      await serving.stop();
    });

    it('also when the ClientHello arrives byte by byte, and after the certificate was replaced', async () => {
      const serving = await serve(transport, certificate, { challenge });
      const next = makeCertificate(['next.test']);
      serving.listener.replaceCertificate(next);
      const dripping = await drip(serving.port);
      for (const [options, name] of [
        [ACME, 'proof.test'],
        [{ servername: 'relay.test' }, 'next.test'],
      ] as const) {
        const { tls } = await securePeer(dripping.port, options);
        assert.equal(tls.getPeerCertificate().subject.CN, name);
        tls.destroy();
      }
      dripping.close();
      await serving.stop();
    });

    it('works behind a PROXY header too', async () => {
      const proxy = { isTrusted: () => false, timeoutMs: 4000, allowsDirect: true };
      const serving = await serve(transport, certificate, { challenge, proxy });
      const { tls } = await securePeer(serving.port, ACME);
      assert.equal(tls.getPeerCertificate().subject.CN, 'proof.test');
      tls.destroy();
      await serving.stop();
    });
  });
}

/** A TCP hop that forwards each byte of the client separately. */
async function drip(port: number): Promise<{ port: number; close: () => void }> {
  const hop = createServer((socket) => {
    socket.on('error', () => undefined);
    void tcpPeer(port).then((server) => {
      server.setNoDelay(true);
      server.pipe(socket);
      let turn = Promise.resolve();
      socket.on('data', (bytes) => {
        turn = turn.then(async () => {
          for (let at = 0; at < bytes.length; at++) {
            server.write(bytes.subarray(at, at + 1));
            await new Promise((resolve) => setImmediate(resolve));
          }
        });
      });
      socket.on('close', () => server.destroy());
    });
  });
  hop.listen(0, '127.0.0.1');
  await once(hop, 'listening');
  const address = hop.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { port: address.port, close: () => hop.close() };
}
