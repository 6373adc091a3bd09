/**
 * How long a stream of small messages between two real tailscaled is interrupted while their DERP relay is replaced by its
 * next version: `npm run bench:upgrade -- [--rounds 3] [--relays derper,towpath,towpath-sockets]`. A message is sent each
 * 10 ms. Needs root, and what `test/interop/peer-relay/run.sh` builds.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Headscale } from '../test/interop/peer-relay/headscale.ts';
import { Network } from '../test/interop/peer-relay/network.ts';
import { until } from '../test/interop/peer-relay/program.ts';
import { TailscaleNode } from '../test/interop/peer-relay/tailscale-node.ts';
import { derper } from './relay/programs.ts';
import { formatSummary, summarize } from './relay/statistics.ts';
import { MessageStream } from './udp/message-stream.ts';
import { makeRelay, UPGRADES, type UpgradeName } from './upgrade/relays.ts';

/** So long the stream has to be whole again. */
const SETTLED_MS = 5000;
/** `Arrival` of `udp/traffic.ts` is told from this gap on. */
const SHORTEST_GAP_MS = 50;

const { HEADSCALE: headscale, TAILSCALE_PROGRAMS: programs } = process.env;
if (headscale === undefined || programs === undefined) {
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set: start it with npm run bench:upgrade');
}
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, relays: { type: 'string', default: UPGRADES.join(',') } },
});
const results = new Map<UpgradeName, { longest: number[]; all: number[] }>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const name of UPGRADES.filter((relay) => values.relays.split(',').includes(relay))) {
    const gaps = await measure(name, headscale, programs);
    const longest = Math.max(...gaps, 0);
    const all = gaps.reduce((sum, gap) => sum + gap, 0);
    console.log(`round ${round + 1}, ${name}: longest gap ${ms(longest)}, all gaps ${ms(all)}`);
    const kept = results.get(name) ?? { longest: [], all: [] };
    results.set(name, { longest: [...kept.longest, longest], all: [...kept.all, all] });
  }
}
console.log(`\nmilliseconds without a message, of gaps over ${SHORTEST_GAP_MS} ms; median [lowest–highest]`);
for (const [name, { longest, all }] of results) {
  console.log(`${name}: longest ${formatSummary(summarize(longest), 0)}, all ${formatSummary(summarize(all), 0)}`);
}
process.exit();

/** The gaps in the stream from the beginning of one upgrade until it is whole again. */
async function measure(name: UpgradeName, headscale: string, programs: string): Promise<number[]> {
  const network = new Network();
  const folder = mkdtempSync('/tmp/tpg-');
  const ends: (() => unknown)[] = [
    (): void => network.remove(),
    (): void => rmSync(folder, { recursive: true, force: true }),
  ];
  try {
    const control = await Headscale.start(network, headscale, folder);
    ends.push(() => control.program.stop());
    const relay = makeRelay(name, { network, folder, derper: derper() });
    ends.push(() => relay.stop());
    await relay.start();
    const [a, b] = await Promise.all(
      (['a', 'b'] as const).map(async (place) => {
        const node = new TailscaleNode(network, place, programs, folder, { tun: 'ts0' });
        ends.push(() => node.program.stop());
        await until(`tailscaled ${place} answers`, () => node.cli('version').length > 0);
        node.up(control.clientKey());
        return node;
      }),
    );
    await until('a pong over DERP', () => a!.ping(b!.ip).includes('via DERP('));
    const stream = await MessageStream.start(network, a!, b!);
    ends.push(() => stream.stop());
    await until('the messages arrive', () => stream.arrivals().length > 0);
    const before = stream.arrivals().length;
    await relay.upgrade();
    await until('messages arrive again', () => a!.ping(b!.ip).includes('pong'));
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    return stream
      .arrivals()
      .slice(before)
      .map(({ gapMs }) => gapMs);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
