import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { HandshakeFailure, DropReason, ProxyProtocol, Transport } from '../../src/transport/port.ts';
import { encodeProxyHeader } from '../../src/wire/proxy-header.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { leavesNothing } from './leaves-nothing.ts';
import { eventually, gone, quiet, Recorder, serve, securePeer, tcpPeer } from './support.ts';

const CLIENT = { ip: '203.0.113.9', port: 50_123 };
const HEADER = encodeProxyHeader({ source: CLIENT, destination: { ip: '198.51.100.7', port: 443 } });
const PROXY: ProxyProtocol = { isTrusted: () => true, timeoutMs: 4000, allowsDirect: false };
const MANY = 200;

/** Bytes that a trusted proxy may send instead of a header and a handshake; `counted` is the expected count. */
const STARTS: Readonly<
  Record<
    string,
    { act: (peer: Socket) => void; counted: readonly (HandshakeFailure | DropReason)[]; accepted: boolean }
  >
> = {
  'no header': { act: (peer) => peer.write('GET / HTTP/1.1\r\n\r\n'), counted: ['proxy_header'], accepted: false },
  'a broken header': {
    act: (peer) => peer.write('PROXY TCP4 1.2.3.4\r\n'),
    counted: ['proxy_header'],
    accepted: false,
  },
  'half a header, then silence': { act: (peer) => peer.write('PROXY '), counted: ['proxy_header'], accepted: false },
  'half a header, then FIN': { act: (peer) => peer.end('PROXY '), counted: ['proxy_header'], accepted: false },
  'a header, then garbage': {
    act: (peer) => peer.write(Buffer.concat([HEADER, Buffer.alloc(600, 0x41)])),
    counted: ['tls_error'],
    accepted: true,
  },
  'a header, then FIN': { act: (peer) => peer.end(HEADER), counted: ['tls_closed'], accepted: true },
  'a header, then silence': { act: (peer) => peer.write(HEADER), counted: ['tls_timeout'], accepted: true },
};

/** Tests PROXY headers before TLS, and before plain bytes. */
export function proxyContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  describe('PROXY headers', () => {
    it('name the client, to accepted() and for good, in front of TLS', async () => {
      const serving = await serve(transport, certificate, { proxy: PROXY });
      const end = new Recorder();
      const { stream: client } = await transport.connect(
        {
          host: '127.0.0.1',
          port: serving.port,
          tls: { serverName: 'relay.test', verify: { kind: 'pin', sha256: certificate.sha256 } },
          timeoutMs: 4000,
          preamble: HEADER,
        },
        end,
      );
      const { stream, end: served } = await serving.stream();
      assert.deepEqual([stream.remote, serving.acceptedFrom], [CLIENT, [CLIENT]]);
      assert.equal(stream.local.port, serving.port);
      assert.deepEqual(stream.tls, { version: 'TLSv1.3', alpn: '', serverName: 'relay.test', chain: [] });
      client.write(Buffer.from('up'), 0, 2);
      await eventually(() => served.text() === 'up', 'bytes to the server');
      stream.write(Buffer.from('down'), 0, 4);
      await eventually(() => end.text() === 'down', 'bytes to the client');
      client.finish(4000);
      await eventually(() => end.closes.length > 0 && served.closes.length > 0, 'closed');
      assert.deepEqual(served.closes, ['end']);
      await serving.stop();
    });

    for (const [name, size] of Object.entries({ 'byte by byte': 1, 'at once with what follows': 10_000 })) {
      it(`arrive ${name}`, async () => {
        const serving = await serve(transport, null, { proxy: PROXY });
        const peer = await tcpPeer(serving.port);
        const all = Buffer.concat([HEADER, Buffer.from('hello')]);
        for (let at = 0; at < all.length; at += size) {
          await new Promise((resolve) => peer.write(all.subarray(at, at + size), resolve));
          await new Promise((resolve) => setImmediate(resolve));
        }
        const { stream, end } = await serving.stream();
        await eventually(() => end.text() === 'hello', 'what follows');
        assert.deepEqual(stream.remote, CLIENT);
        peer.end();
        await eventually(() => end.closes.length > 0, 'closed');
        assert.deepEqual(end.closes, ['end']);
        await serving.stop();
      });
    }

    it('of a proxy that speaks for itself name the proxy', async () => {
      const serving = await serve(transport, certificate, { proxy: PROXY });
      const tcp = await tcpPeer(serving.port);
      tcp.write(encodeProxyHeader(null));
      const tls = connectTls({ socket: tcp, rejectUnauthorized: false });
      await once(tls, 'secureConnect');
      const { stream } = await serving.stream();
      assert.deepEqual(stream.remote, { ip: '127.0.0.1', port: tcp.localPort });
      tls.destroy();
      await serving.stop();
    });

    it('a client that accepted() refuses is reset before TLS', async () => {
      const serving = await serve(transport, certificate, { proxy: PROXY });
      serving.admit = false;
      const peer = await tcpPeer(serving.port);
      peer.write(HEADER);
      await eventually(() => peer.destroyed, 'reset');
      assert.deepEqual([serving.acceptedFrom, serving.failures, serving.streams], [[CLIENT], [], []]);
      await serving.stop();
    });

    it('a peer that closes without a word is not worth one', async () => {
      const serving = await serve(transport, certificate, { proxy: PROXY });
      const peer = await tcpPeer(serving.port);
      peer.resume().end();
      await eventually(() => peer.destroyed, 'closed');
      await quiet(20);
      assert.deepEqual([serving.acceptedFrom, serving.failures, serving.streams], [[], [], []]);
      await serving.stop();
    });

    it('of others are refused, or others come without one', async () => {
      const isTrusted = (): boolean => false;
      const closed = await serve(transport, certificate, { proxy: { ...PROXY, isTrusted } });
      const refused = await tcpPeer(closed.port);
      await eventually(() => refused.destroyed && closed.failures.length > 0, 'refused');
      assert.equal(closed.failures[0]!.failure, 'untrusted_proxy');
      assert.equal(closed.acceptedFrom.length, 0);
      await closed.stop();

      const open = await serve(transport, certificate, { proxy: { ...PROXY, isTrusted, allowsDirect: true } });
      const { tcp, tls } = await securePeer(open.port);
      assert.deepEqual(open.acceptedFrom, [{ ip: '127.0.0.1', port: tcp.localPort }]);
      const liar = await tcpPeer(open.port);
      liar.resume().write(HEADER);
      await eventually(() => liar.destroyed && open.failures.length > 0, 'refused');
      assert.equal(open.failures[0]!.failure, 'tls_error');
      tls.destroy();
      await open.stop();
    });

    it('are followed by the certificate of the day', async () => {
      const serving = await serve(transport, certificate, { proxy: PROXY });
      const shown = async (): Promise<unknown> => {
        const tcp = await tcpPeer(serving.port);
        tcp.write(HEADER);
        const tls = connectTls({ socket: tcp, rejectUnauthorized: false });
        await once(tls, 'secureConnect');
        const name = tls.getPeerCertificate().subject.CN;
        tls.destroy();
        return name;
      };
      assert.equal(await shown(), 'relay.test');
      const next = makeCertificate(['next.test']);
      const wrong = { certPem: next.certPem, keyPem: certificate.keyPem };
      assert.throws(() => serving.listener.replaceCertificate(wrong), { code: 'TOWPATH_CERTIFICATE_PAIR' });
      assert.equal(await shown(), 'relay.test');
      serving.listener.replaceCertificate(next);
      assert.equal(await shown(), 'next.test');
      await serving.stop();
    });
  });
}

/** Tests wrong bytes instead of a PROXY header, or instead of TLS after one: they are counted once and leave no resources. */
export function brokenProxyContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  describe('starts behind a proxy that come to nothing', () => {
    for (const [name, { act, counted, accepted }] of Object.entries(STARTS)) {
      it(`${name}: counted once, ${accepted ? 'for the client' : 'for the proxy'}, and nothing is left behind`, async () => {
        const round = async (count: number): Promise<void> => {
          const isSilent = name.includes('silence');
          const serving = await serve(transport, certificate, {
            proxy: isSilent ? { ...PROXY, timeoutMs: 300 } : PROXY,
            handshakeTimeoutMs: isSilent ? 300 : 8000,
          });
          const one = async (): Promise<void> => {
            const peer = await tcpPeer(serving.port);
            peer.resume();
            act(peer);
            await gone(peer);
          };
          await Promise.all(Array.from({ length: count }, one));
          await eventually(() => serving.failures.length === count, 'all counted');
          await quiet(20);
          assert.equal(serving.failures.length, count);
          assert.equal(serving.acceptedFrom.length, accepted ? count : 0);
          for (const { failure, remote } of serving.failures) {
            assert.ok(counted.includes(failure), failure);
            assert.equal(remote.ip, accepted ? CLIENT.ip : '127.0.0.1');
          }
          await serving.stop();
        };
        await leavesNothing(() => round(MANY));
      });
    }
  });
}
