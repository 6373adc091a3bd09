import { before, describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { HOSTILE_STARTS } from './contract-handshake.ts';
import { leavesNothing } from './leaves-nothing.ts';
import { eventually, Recorder, serve, type Serving, tcpPeer } from './support.ts';

const ROUND = 300;

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
        await leavesNothing(() => round(ROUND));
      });
    }
  });
}
