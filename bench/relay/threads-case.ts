import { freePort } from '../../test/free-port.ts';
import { DISTURBED, FOREIGN_SHARE, Fresh, ORDINARY, type Case, type RoundContext, type Sample } from './case.ts';
import { readLoad } from './load-cases.ts';
import { runFreeGenerator, type LoadResult } from './programs.ts';
import { checkoutOf, Server, ServerName } from './server.ts';

/** Where the two clients of each pair are, in a relay of two threads; see `-layout` of benchload. */
type Layout = 'same' | 'both' | 'across';
const LAYOUTS: readonly Layout[] = ['same', 'both', 'across'];
/** What derper is started with, in place of a number of threads. */
const CORES = 'GOMAXPROCS';

const US = { digits: 2, ratio: true } as const;
const RATIO = { digits: 2, ratio: false } as const;
const RATE = { digits: 1, ratio: false } as const;

/** Measures what a second relay thread costs, as processor time per packet. Nothing is pinned. */
export const threadsCase: Case = {
  name: 'threads',
  title:
    'as closed, not pinned: one relay thread, two, and two relays of one; derper with GOMAXPROCS 1 and 2. A ceiling is 2 × the CPU of one thread ÷ that of two',
  metrics: [
    { ...US, key: 'oneUs', title: 'CPU µs/packet, one thread' },
    { ...US, key: 'sameUs', title: 'two threads, pairs in the main one' },
    { ...US, key: 'bothUs', title: 'pairs in both' },
    { ...US, key: 'acrossUs', title: 'pairs across' },
    { ...US, key: 'apartUs', title: 'two relays of one thread' },
    { ...RATIO, key: 'sameRatio', title: 'in the main one ÷ one thread' },
    { ...RATIO, key: 'acrossRatio', title: 'across ÷ in the main one' },
    { ...RATIO, key: 'acrossBothRatio', title: 'across ÷ in both' },
    { ...RATIO, key: 'ceiling', title: 'ceiling, two threads ÷ one' },
    { ...RATIO, key: 'ceilingApart', title: 'ceiling, two relays ÷ one' },
    { ...RATE, key: 'oneKpps', title: 'kpackets/s, one thread' },
    { ...RATE, key: 'bothKpps', title: 'pairs in both' },
    { ...RATE, key: 'acrossKpps', title: 'pairs across' },
    { ...RATIO, key: 'lostPercent', title: 'lost %' },
  ],
  ...{ ...ORDINARY, fresh: Fresh.Always },
  async run({ name }, context) {
    const one = await withRelay(name, context, 1, (server) => measure(server, context));
    const apart = await withRelay(name, context, 1, (server) =>
      withRelay(name, context, 1, (other) => {
        const where = ['-receivers-address', other.address, '-receivers-pid', String(other.pid)];
        return measure(server, context, '-layout', 'apart', ...where);
      }),
    );
    const two = await withRelay(name, context, 2, async (server, metrics) => {
      if (name === ServerName.Derper) return { both: await measure(server, context) };
      const samples: Partial<Record<Layout, Sample>> = {};
      for (const layout of LAYOUTS) {
        samples[layout] = await measure(server, context, '-layout', layout, '-metrics', metrics);
      }
      return samples;
    });
    return summary(one, apart, two);
  },
};

/** Runs `run` with a relay of so many threads and the URL of its metrics. */
async function withRelay<T>(
  name: ServerName,
  { files, options }: RoundContext,
  threads: number,
  run: (server: Server, metrics: string) => Promise<T>,
): Promise<T> {
  const adminPort = await freePort();
  const relay = name === ServerName.Derper ? { env: { [CORES]: String(threads) } } : { threads, adminPort };
  const where = { pinned: false, loopDelay: false, ...relay, ...checkoutOf(name, options.before) };
  const server = await Server.start(name, files, where);
  try {
    return await run(server, `http://127.0.0.1:${adminPort}/metrics`);
  } finally {
    await server.stop();
  }
}

async function measure(server: Server, { windows }: RoundContext, ...layout: readonly string[]): Promise<Sample> {
  const where = ['-address', server.address, '-pid', String(server.pid), ...layout];
  return readLoad(await runFreeGenerator<LoadResult>('load', ...where, '-mode', 'closed', ...windows), undefined);
}

function summary(one: Sample, apart: Sample, two: Partial<Record<Layout, Sample>>): Sample {
  const all = [one, apart, ...Object.values(two)];
  const cpu = (sample: Sample | undefined): number | null => sample?.values['cpuUs'] ?? null;
  const kpps = (sample: Sample | undefined): number | null => sample?.values['kpps'] ?? null;
  const foreignShare = Math.max(...all.map((sample) => sample.foreignShare ?? 0));
  return {
    values: {
      ...{
        oneUs: cpu(one),
        sameUs: cpu(two.same),
        bothUs: cpu(two.both),
        acrossUs: cpu(two.across),
        apartUs: cpu(apart),
      },
      sameRatio: ratio(cpu(two.same), cpu(one)),
      acrossRatio: ratio(cpu(two.across), cpu(two.same)),
      acrossBothRatio: ratio(cpu(two.across), cpu(two.both)),
      ceiling: ratio(twice(cpu(one)), cpu(two.both)),
      ceilingApart: ratio(twice(cpu(one)), cpu(apart)),
      ...{ oneKpps: kpps(one), bothKpps: kpps(two.both), acrossKpps: kpps(two.across) },
      lostPercent: Math.max(...all.map(({ values }) => values['lostPercent'] ?? 0)),
    },
    foreignShare,
    notes: foreignShare > FOREIGN_SHARE ? [DISTURBED] : [],
  };
}

function twice(value: number | null): number | null {
  return value === null ? null : 2 * value;
}

function ratio(dividend: number | null, divisor: number | null): number | null {
  return dividend === null || divisor === null || divisor === 0 ? null : dividend / divisor;
}
