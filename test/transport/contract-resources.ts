import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { HOSTILE_STARTS } from './contract-handshake.ts';
import { collectGarbage, descriptors, eventually, Recorder, serve, type Serving, tcpPeer } from './support.ts';

const ROUND = 300;
const MIB = 1_048_576;
/** Noise of the allocator. 300 leaked TLS connections are 15 MiB. */
const RSS_SLACK_MIB = 8;
/** A leak grows with every round, noise does not: one quiet round is enough. */
const MAX_ROUNDS = 5;

type Act = (serving: Serving) => Promise<void>;

/** Nothing stays behind after many connections of each kind. */
export function resourcesContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  const tls = { serverName: '', verify: { kind: 'none' as const } };
  const kinds: Record<string, Act> = {
    'that finish in good order': async (serving) => {
      const end = new Recorder();
      const { stream } = await transport.connect({ host: '127.0.0.1', port: serving.port, tls, timeoutMs: 8000 }, end);
      stream.write(Buffer.from('hello'), 0, 5);
      stream.finish(4000);
      await eventually(() => end.closes.length > 0, 'closed');
    },
    'that are aborted': async (serving) => {
      const end = new Recorder();
      const { stream } = await transport.connect({ host: '127.0.0.1', port: serving.port, tls, timeoutMs: 8000 }, end);
      stream.abort();
      await eventually(() => end.closes.length > 0, 'closed');
    },
    'that never answer a FIN': async (serving) => {
      const end = new Recorder();
      const { stream } = await transport.connect({ host: '127.0.0.1', port: serving.port, tls, timeoutMs: 8000 }, end);
      stream.pause();
      await eventually(() => serving.ends.every(({ closes }) => closes.length > 0), 'freed at the deadline');
      stream.abort();
      await eventually(() => end.closes.length > 0, 'closed');
    },
  };
  for (const [name, { act }] of Object.entries(HOSTILE_STARTS)) {
    kinds[`whose handshake is ${name}`] = async (serving) => {
      const peer = await tcpPeer(serving.port);
      peer.resume();
      act(peer);
      await eventually(() => peer.destroyed, 'closed');
    };
  }

  describe(`${ROUND} connections leave nothing behind`, () => {
    for (const [name, act] of Object.entries(kinds)) {
      it(name, async () => {
        const round = async (count: number): Promise<void> => {
          const handshakeTimeoutMs = name.includes('silence') ? 400 : 8000;
          const serving = await serve(transport, certificate, { handshakeTimeoutMs });
          if (name.includes('never')) {
            serving.onOpened = (stream, end) => {
              stream.finish(300);
              return end;
            };
          }
          await Promise.all(Array.from({ length: count }, () => act(serving)));
          await eventually(
            () =>
              serving.ends.every(({ closes }) => closes.length > 0) &&
              serving.ends.length + serving.failures.length === serving.acceptedFrom.length,
            'every connection accounted for',
          );
          await serving.stop();
        };
        await round(ROUND);
        const fds = descriptors();
        const grown: number[] = [];
        do {
          collectGarbage();
          const before = process.memoryUsage().rss;
          await round(ROUND);
          await eventually(() => descriptors() <= fds, `descriptors back at ${fds}, now ${descriptors()}`);
          collectGarbage();
          grown.push((process.memoryUsage().rss - before) / MIB);
        } while (grown.at(-1)! > RSS_SLACK_MIB && grown.length < MAX_ROUNDS);
        assert.ok(grown.at(-1)! <= RSS_SLACK_MIB, `RSS grew by ${grown.map((mib) => mib.toFixed(1)).join(', ')} MiB`);
      });
    }
  });
}
