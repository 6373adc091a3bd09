import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { before, describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import {
  endPair,
  eventually,
  pair,
  PatternChecker,
  PatternSender,
  quiet,
  securePeer,
  serve,
  tcpPeer,
} from './support.ts';

const MIB = 1_048_576;

/** Tests that each end of a stream is reported once, with its reason, and frees the stream. */
export function closingContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  for (const kind of ['TLS', 'plain'] as const) {
    const pem = (): TestCertificate | null => (kind === 'TLS' ? certificate : null);

    describe(`closing over ${kind}`, () => {
      it("finish() flushes what was taken; the peer sees 'end', we see 'local'", async () => {
        const both = await pair(transport, pem());
        const checker = new PatternChecker();
        both.clientEnd.onBytes = (_stream, buffer, from, to) => checker.check(buffer, from, to);
        const sender = new PatternSender(both.server, both.serverEnd, 100_000);
        sender.pump();
        assert.equal(sender.sent, 100_000);
        both.server.finish(4000);
        assert.equal(both.server.write(Buffer.alloc(1), 0, 1), -1);
        await eventually(() => both.clientEnd.closes.length > 0 && both.serverEnd.closes.length > 0, 'both closed');
        assert.equal(checker.seen, 100_000);
        assert.deepEqual([both.clientEnd.closes, both.serverEnd.closes], [['end'], ['local']]);
        await endPair(both);
      });

      it('no bytes arrive after finish()', async () => {
        const both = await pair(transport, pem());
        const sender = new PatternSender(both.client, both.clientEnd, 32 * MIB);
        both.serverEnd.onBytes = (stream) => stream.finish(200);
        sender.pump();
        await eventually(() => both.serverEnd.closes.length > 0, 'closed');
        const read = both.serverEnd.total;
        // One read; the runtime chooses its size.
        assert.ok(read > 0 && read <= MIB, `one read, got ${read}`);
        await eventually(() => both.clientEnd.closes.length > 0, 'client closed');
        await endPair(both);
      });

      it('a peer that reads nothing and never closes is freed at the deadline', async () => {
        const both = await pair(transport, pem());
        both.client.pause();
        new PatternSender(both.server, both.serverEnd, 48 * MIB).pump();
        await quiet(50);
        const started = performance.now();
        both.server.finish(300);
        await eventually(() => both.serverEnd.closes.length > 0, 'closed');
        assert.ok(performance.now() - started > 250);
        assert.deepEqual(both.serverEnd.closes, ['deadline']);
        await endPair(both);
      });

      it('abort() twice, finish() and write() after it: closed once', async () => {
        const both = await pair(transport, pem());
        both.server.abort();
        both.server.abort();
        both.server.finish(100);
        both.server.pause();
        both.server.resume();
        assert.equal(both.server.write(Buffer.alloc(1), 0, 1), -1);
        await eventually(() => both.serverEnd.closes.length > 0 && both.clientEnd.closes.length > 0, 'both closed');
        assert.deepEqual(both.serverEnd.closes, ['local']);
        assert.equal(both.client.write(Buffer.alloc(1), 0, 1), -1);
        assert.equal(both.serverEnd.writables + both.clientEnd.writables, 0);
        await endPair(both);
      });

      it('abort() inside bytes ends them', async () => {
        const both = await pair(transport, pem());
        let calls = 0;
        both.serverEnd.onBytes = (stream) => {
          calls++;
          stream.abort();
        };
        new PatternSender(both.client, both.clientEnd, 4 * MIB).pump();
        await eventually(() => both.serverEnd.closes.length > 0 && both.clientEnd.closes.length > 0, 'both closed');
        assert.equal(calls, 1);
        assert.equal(both.clientEnd.closes[0], 'reset');
        await endPair(both);
      });

      it('a FIN behind bytes at a paused reader is told after the bytes', async () => {
        const both = await pair(transport, pem());
        const checker = new PatternChecker();
        both.serverEnd.onBytes = (stream, buffer, from, to) => {
          checker.check(buffer, from, to);
          stream.pause();
          setTimeout(() => stream.resume(), 1);
        };
        const sender = new PatternSender(both.client, both.clientEnd, 100_000);
        sender.pump();
        both.client.finish(4000);
        await eventually(() => both.serverEnd.closes.length > 0, 'closed');
        assert.equal(checker.seen, 100_000);
        assert.deepEqual(both.serverEnd.closes, ['end']);
        await endPair(both);
      });

      it('a reset behind bytes at a paused reader is told when it writes, at the latest', async () => {
        const both = await pair(transport, pem());
        both.client.pause();
        new PatternSender(both.server, both.serverEnd, 48 * MIB).pump();
        await quiet(50);
        both.server.abort();
        const told = (): boolean => both.clientEnd.closes.length > 0;
        await eventually(() => told() || both.client.write(Buffer.alloc(1), 0, 1) < 0, 'the write is refused');
        await eventually(told, 'told');
        assert.deepEqual(both.clientEnd.closes, ['reset']);
        await endPair(both);
      });

      it('an abort in opened() is a clean end', async () => {
        const serving = await serve(transport, pem());
        serving.onOpened = (stream, end) => {
          stream.abort();
          return end;
        };
        const peer = kind === 'TLS' ? (await securePeer(serving.port)).tls : await tcpPeer(serving.port);
        await eventually(() => peer.destroyed && serving.ends[0]?.closes[0] === 'local', 'both gone');
        await serving.stop();
      });
    });
  }

  describe('peers that end', () => {
    it("FIN of a TLS peer is 'end', and our side closes too", async () => {
      const serving = await serve(transport, certificate);
      const { tls } = await securePeer(serving.port);
      const { end } = await serving.stream();
      tls.end('bye');
      await eventually(() => end.closes.length > 0 && tls.destroyed, 'closed on both sides');
      assert.deepEqual([end.text(), end.closes], ['bye', ['end']]);
      await serving.stop();
    });

    it("RST is 'reset'", async () => {
      const serving = await serve(transport, certificate);
      const { tcp } = await securePeer(serving.port);
      const { stream, end } = await serving.stream();
      tcp.resetAndDestroy();
      await eventually(() => end.closes.length > 0, 'closed');
      assert.deepEqual(end.closes, ['reset']);
      assert.equal(stream.write(Buffer.alloc(1), 0, 1), -1);
      await serving.stop();
    });

    it("garbage after the handshake is 'reset'", async () => {
      const serving = await serve(transport, certificate);
      const forwarded = await forwarder(serving.port);
      const { end } = await serving.stream();
      // A record of 32 bytes that is not encrypted.
      forwarded.toServer.write(Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32, 0x55)]));
      await eventually(() => end.closes.length > 0, 'closed');
      assert.deepEqual(end.closes, ['reset']);
      forwarded.close();
      await serving.stop();
    });

    it('a half-closed plain peer that never closes fully is freed', async () => {
      const serving = await serve(transport, null);
      const peer = await tcpPeer(serving.port, { allowHalfOpen: true });
      const { stream, end } = await serving.stream();
      stream.finish(200);
      await eventually(() => end.closes.length > 0, 'closed at the deadline');
      assert.deepEqual(end.closes, ['deadline']);
      peer.destroy();
      await serving.stop();
    });
  });
}

/** A TLS client behind a TCP hop that a test can write into. */
async function forwarder(port: number): Promise<{ toServer: Socket; close: () => void }> {
  const hop = createServer();
  await new Promise<void>((resolve) => hop.listen(0, '127.0.0.1', resolve));
  const address = hop.address();
  assert.ok(address !== null && typeof address === 'object');
  const toServer = await tcpPeer(port);
  hop.once('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(toServer).pipe(socket);
  });
  const { tls, tcp } = await securePeer(address.port);
  return {
    toServer,
    close: () => {
      tls.destroy();
      tcp.destroy();
      toServer.destroy();
      hop.close();
    },
  };
}
