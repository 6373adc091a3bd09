import { join } from 'node:path';
import { freePort } from '../../test/free-port.ts';
import { Fresh, ORDINARY, type Case, type RoundContext } from './case.ts';
import { CPU, LOST, P50, P99, RATE, readLoad } from './load-cases.ts';
import { makeMeshKey } from './mesh-key.ts';
import { runGenerator, type LoadResult } from './programs.ts';
import { checkoutOf, Server, type ServerName } from './server.ts';

/** Loads whose packets go through the link between two relays of a region. */
export const meshLoads: readonly Case[] = [
  meshLoad(
    'mesh',
    // derper drops packets beyond 32 for a client: with more under way, some would be lost.
    'from a relay to another of its region, CPU of both: 1200 bytes, 10 pairs, closed loop of 22',
    [RATE, P99],
    ['-mode', 'closed', '-window', '22'],
  ),
  meshLoad(
    'mesh-paced',
    'from a relay to another of its region, CPU of both: 20 000 packets/s evenly spaced, 10 pairs',
    [P50, P99],
    ['-mode', 'rate', '-rate', '20000', '-records-per-write', '1'],
  ),
];

function meshLoad(name: string, title: string, further: Case['metrics'], flags: readonly string[]): Case {
  return {
    ...{ name, title, metrics: [CPU, LOST, ...further], ...ORDINARY, fresh: Fresh.Always },
    run: (server, context) =>
      withRegion(server.name, context, async (first, second) => {
        const parameters = [...flags, ...context.windows];
        const senders = ['-address', first.address, '-pid', String(first.pid)];
        const receivers = ['-receivers-address', second.address, '-receivers-pid', String(second.pid)];
        const result = await runGenerator<LoadResult>('load', ...senders, ...receivers, ...parameters);
        return { ...readLoad(result, undefined), flags: parameters };
      }),
  };
}

/** Runs `measure` with two relays of a region, which share the CPU of the relay and link to each other. */
async function withRegion<T>(
  name: ServerName,
  { files, options }: RoundContext,
  measure: (first: Server, second: Server) => Promise<T>,
): Promise<T> {
  const { keyFile } = makeMeshKey(files.dir);
  const ports = [await freePort(), await freePort()] as const;
  const start = (port: number, other: number): Promise<Server> => {
    // Two relays with the same key would treat each other as themselves.
    const own = { ...files, relayKey: join(files.dir, `relay-${port}.json`) };
    const mesh = { keyFile, with: `127.0.0.1:${other}` };
    return Server.start(name, own, { pinned: true, loopDelay: false, port, mesh, ...checkoutOf(name, options.before) });
  };
  const second = await start(ports[1], ports[0]);
  try {
    const first = await start(ports[0], ports[1]);
    try {
      return await measure(first, second);
    } finally {
      await first.stop();
    }
  } finally {
    await second.stop();
  }
}
