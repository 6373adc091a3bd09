import { Fresh, ORDINARY, type Case, type Sample } from './case.ts';
import { readLoad } from './load-cases.ts';
import { runGenerator, type LoadResult } from './programs.ts';
import { withSibling } from './sibling-link.ts';

/** Number of keys of the other relay: some of them are watched. */
const SIBLING_KEYS = 5000;
/** Packets of 1200 bytes per second: in a second more than the sockets and the queue of a link hold. */
const STREAM_RATE = 10_000;
const FLAGS = ['-mode', 'rate', '-rate', '20000', '-records-per-write', '1'];

/** Measures the effect of a relay that stops reading on the clients of another relay of the region. */
export const slowSiblingCase: Case = {
  name: 'slow-sibling',
  title: `20 000 packets/s between 10 local pairs, ${STREAM_RATE / 1000} 000 packets/s to another relay that reads, or does not`,
  metrics: [
    { key: 'cpuUs', title: 'it does not read: CPU µs/local packet', digits: 2, ratio: true },
    { key: 'readingCpuUs', title: 'it reads: CPU µs/local packet', digits: 2, ratio: false },
    { key: 'cpuRatio', title: 'CPU, not reading ÷ reading', digits: 2, ratio: false },
    { key: 'p99Us', title: 'it does not read: p99 µs', digits: 0, ratio: true },
    { key: 'readingP99Us', title: 'it reads: p99 µs', digits: 0, ratio: false },
    { key: 'p99Ratio', title: 'p99, not reading ÷ reading', digits: 2, ratio: false },
    { key: 'lostPercent', title: 'it does not read: lost by local pairs %', digits: 2, ratio: false },
    { key: 'streamSkipped', title: 'it does not read: stream not read from', digits: 0, ratio: false },
  ],
  ...{ ...ORDINARY, fresh: Fresh.Always },
  run: (server, context) =>
    withSibling(server, context, false, async (member, sibling) => {
      const [watched] = await sibling.addKeys(SIBLING_KEYS);
      await sibling.listen();
      await sibling.heard('joined');
      const where = ['-address', member.address, '-pid', String(member.pid)];
      const stream = ['-stream-to', watched!.toString('hex'), '-stream-rate', String(STREAM_RATE)];
      const flags = [...FLAGS, ...context.windows];
      const load = (): Promise<LoadResult> => runGenerator<LoadResult>('load', ...where, ...stream, ...flags);
      // A relay that reads is measured before and after, because code gets faster while it runs.
      const before = readLoad(await load(), undefined);
      await sibling.heard('reached');
      sibling.pause();
      const stopped = await load();
      sibling.resume();
      const after = readLoad(await load(), undefined);
      const meanwhile = readLoad(stopped, undefined);
      const reading = (key: string): number => (valueOf(before, key) + valueOf(after, key)) / 2;
      return {
        values: {
          ...{ cpuUs: valueOf(meanwhile, 'cpuUs'), readingCpuUs: reading('cpuUs') },
          cpuRatio: valueOf(meanwhile, 'cpuUs') / reading('cpuUs'),
          ...{ p99Us: valueOf(meanwhile, 'p99Us'), readingP99Us: reading('p99Us') },
          p99Ratio: valueOf(meanwhile, 'p99Us') / reading('p99Us'),
          lostPercent: valueOf(meanwhile, 'lostPercent'),
          streamSkipped: stopped.stream?.skipped ?? null,
        },
        foreignShare: meanwhile.foreignShare,
        notes: meanwhile.notes,
        flags,
      };
    }),
};

/** Returns the figure. Throws an Error when nothing arrived and there is none. */
function valueOf({ values }: Sample, key: string): number {
  const value = values[key] ?? null;
  if (value === null) throw new Error(`slow-sibling: no packet of the local pairs arrived, so ${key} is unknown`);
  return value;
}
