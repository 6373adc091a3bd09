import { before, describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { HOSTILE_STARTS } from './contract-handshake.ts';
import { leavesNothing } from './leaves-nothing.ts';
import { eventually, gone, Recorder, serve, type Serving, tcpPeer } from './support.ts';

const ROUND = 300;

type Act = (serving: Serving) => Promise<void>;

/** Tests that many connections that become streams leave no descriptors and memory. */
export function streamResourcesContract(transport: Transport): void {
  const tls = { serverName: '', verify: { kind: 'none' as const } };
  const connect = (serving: Serving, end: Recorder): ReturnType<Transport['connect']> =>
    transport.connect({ host: '127.0.0.1', port: serving.port, tls, timeoutMs: 8000 }, end);
  leaveNothing(transport, 'streams leave nothing behind', {
    'that finish in good order': async (serving) => {
      const end = new Recorder();
      const { stream } = await connect(serving, end);
      stream.write(Buffer.from('hello'), 0, 5);
      stream.finish(4000);
      await end.closing;
    },
    'that are aborted': async (serving) => {
      const end = new Recorder();
      const { stream } = await connect(serving, end);
      stream.abort();
      await end.closing;
    },
    'that never answer a FIN': async (serving) => {
      const end = new Recorder();
      const { stream } = await connect(serving, end);
      stream.pause();
      await Promise.all(serving.ends.map(({ closing }) => closing));
      stream.abort();
      await end.closing;
    },
  });
}

/** Tests that many connections whose handshake fails leave no descriptors and memory. */
export function refusedResourcesContract(transport: Transport): void {
  const kinds = Object.entries(HOSTILE_STARTS).map(([name, { act }]): [string, Act] => [
    `whose handshake is ${name}`,
    async (serving) => {
      const peer = await tcpPeer(serving.port);
      peer.resume();
      act(peer);
      await gone(peer);
    },
  ]);
  leaveNothing(transport, 'connections that fail leave nothing behind', Object.fromEntries(kinds));
}

function leaveNothing(transport: Transport, title: string, kinds: Readonly<Record<string, Act>>): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  describe(`${ROUND} ${title}`, () => {
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
