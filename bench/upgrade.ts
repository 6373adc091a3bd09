/**
 * Measures how long a stream of small messages between two real tailscaled is interrupted while their relay is replaced by its
 * next version: `npm run bench:upgrade -- [--rounds 3] [--relays derper,towpath,towpath-sockets,towpath-next,peer-relay,peer-relay-next]`.
 * A message is sent each 10 ms, by DERP or through the peer relay. With `--region` there are two relays in one region, a client on each, and both relays are replaced, one
 * after the other. Needs root, and the programs that `test/interop/peer-relay/run.sh` builds.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Headscale } from '../test/interop/peer-relay/headscale.ts';
import { HUB_IP, Network, type Place } from '../test/interop/peer-relay/network.ts';
import { until } from '../test/interop/peer-relay/program.ts';
import { TailscaleNode } from '../test/interop/peer-relay/tailscale-node.ts';
import { derper } from './relay/programs.ts';
import { formatSummary, summarize } from './relay/statistics.ts';
import { MessageStream } from './udp/message-stream.ts';
import type { Arrival } from './udp/traffic.ts';
import {
  hasPeerRelay,
  makeRelay,
  PEER_RELAY_UPGRADES,
  UPGRADES,
  type UpgradedRelay,
  type UpgradeName,
} from './upgrade/relays.ts';

/** Time in which the stream must stay complete, in milliseconds. In it, a derper links to the others again: it tries every five seconds. */
const SETTLED_MS = 8000;
/** Shorter silences are caused by the machine. With another relay in the region, a client reconnects fast. */
const SHORTEST_GAP_MS = 50;
const SHORTEST_GAP_IN_REGION_MS = 25;
const SECOND_IP = '10.79.0.2';
/** Addresses of clients. That of the other relay does not match. */
const CLIENT_ADDRESS = / 10\.79\.[12]\.2:/;
const MAKE_CERTIFICATES = path.resolve(import.meta.dirname, '../deploy/region/make-certificates.sh');

const { HEADSCALE: headscale = '', TAILSCALE_PROGRAMS: programs = '' } = process.env;
if (headscale === '' || programs === '') {
  throw new Error('HEADSCALE and TAILSCALE_PROGRAMS are not set: start it with npm run bench:upgrade');
}
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    relays: { type: 'string' },
    region: { type: 'boolean', default: false },
  },
});
const shortestGapMs = values.region ? SHORTEST_GAP_IN_REGION_MS : SHORTEST_GAP_MS;
const allNames = values.region ? UPGRADES : [...UPGRADES, ...PEER_RELAY_UPGRADES];
const names = allNames.filter((relay) => values.relays?.split(',').includes(relay) ?? true);
const results = new Map<UpgradeName, { longest: number[]; all: number[] }>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const name of names) {
    const upgrades = await measure(name);
    const gaps = upgrades.flat().map(({ gapMs }) => gapMs);
    const longest = Math.max(...gaps, 0);
    const all = gaps.reduce((sum, gap) => sum + gap, 0);
    const missed = upgrades.flat().reduce((sum, arrival) => sum + arrival.missed, 0);
    const each = upgrades.map((ofOne) => ms(Math.max(...ofOne.map(({ gapMs }) => gapMs), 0))).join(' and ');
    console.log(
      `round ${round + 1}, ${name}: longest gap ${each}, all gaps ${ms(all)}, ${missed} messages lost in them`,
    );
    const kept = results.get(name) ?? { longest: [], all: [] };
    results.set(name, { longest: [...kept.longest, longest], all: [...kept.all, all] });
  }
}
console.log(`\nmilliseconds without a message, of gaps over ${shortestGapMs} ms; median [lowest–highest]`);
for (const [name, { longest, all }] of results) {
  console.log(`${name}: longest ${formatSummary(summarize(longest), 0)}, all ${formatSummary(summarize(all), 0)}`);
}
process.exit();

/** For each relay, the gaps in the stream from the beginning of its upgrade until the stream is whole again. */
async function measure(name: UpgradeName): Promise<Arrival[][]> {
  const network = new Network();
  const folder = mkdtempSync('/tmp/tpg-');
  const ends: (() => unknown)[] = [
    (): void => network.remove(),
    (): void => rmSync(folder, { recursive: true, force: true }),
  ];
  try {
    const relays = makeRelays(name, network, folder);
    const control = await Headscale.start(network, headscale, folder, [...relays.keys()]);
    ends.push(() => control.program.stop());
    writeFileSync(authKeyFile(folder), control.relayKey(), { mode: 0o600 });
    for (const relay of relays.values()) ends.push(() => relay.stop());
    const node = async (place: Exclude<Place, 'hub'>): Promise<TailscaleNode> => {
      const started = new TailscaleNode(network, place, programs, folder, { tun: 'ts0' });
      ends.push(() => started.program.stop());
      await until(`tailscaled ${place} answers`, () => started.cli('version').length > 0);
      started.up(control.clientKey());
      return started;
    };
    let b: TailscaleNode;
    if (relays.size === 1) {
      for (const relay of relays.values()) await relay.start();
      b = await node('b');
    } else {
      b = await node('b');
      // It connects to the only running relay; the next client connects to the preferred one.
      const [preferred, other] = nodeOrder(b) as [string, string];
      await relays.get(other)!.start();
      await until('the first client has its relay', () => clientsOf(network, other) === 1);
      await relays.get(preferred)!.start();
    }
    const a = await node('a');
    const way = hasPeerRelay(name) ? 'via peer-relay(' : 'via DERP(';
    await until(`a pong ${way}…)`, () => a.ping(b.ip).includes(way));
    for (const ip of relays.keys()) {
      if (clientsOf(network, ip) !== 2 / relays.size) throw new Error(`${ip} has ${clientsOf(network, ip)} clients`);
    }
    const stream = await MessageStream.start(network, a, b, shortestGapMs);
    ends.push(() => stream.stop());
    await until('the messages arrive', () => stream.arrivals().length > 0);
    const gaps: Arrival[][] = [];
    for (const relay of relays.values()) {
      const before = stream.arrivals().length;
      await relay.upgrade();
      await until('messages arrive again', () => a.ping(b.ip).includes('pong'));
      await delay(SETTLED_MS);
      gaps.push(stream.arrivals().slice(before));
    }
    return gaps;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** The relays by address, in the order of the DERP map. */
function makeRelays(name: UpgradeName, network: Network, folder: string): Map<string, UpgradedRelay> {
  const parts = { network, folder, derper: derper(), authKeyFile: authKeyFile(folder) };
  if (!values.region) return new Map([[HUB_IP, makeRelay(name, parts)]]);
  const ips = [HUB_IP, SECOND_IP];
  network.addHubAddress(SECOND_IP);
  const secrets = path.join(folder, 'secrets');
  execFileSync('sh', [MAKE_CERTIFICATES, secrets, ...ips]);
  return new Map(
    ips.map((ip) => {
      const member = { ip, others: ips.filter((other) => other !== ip), secrets };
      return [ip, makeRelay(name, { ...parts, member })];
    }),
  );
}

/** The addresses of the relays in the order in which clients try them, which Headscale shuffles. */
function nodeOrder(node: TailscaleNode): string[] {
  const map = JSON.parse(node.cli('debug', 'derp-map')) as DerpMap;
  return Object.values(map.Regions).flatMap(({ Nodes }) => Nodes.map(({ HostName }) => HostName));
}

interface DerpMap {
  readonly Regions: Readonly<Record<string, { readonly Nodes: readonly { readonly HostName: string }[] }>>;
}

/** How many clients are connected to the relay at an address of the hub. */
function clientsOf(network: Network, ip: string): number {
  const connections = network.run('hub', 'ss', '-Htn', 'state', 'established', 'src', `${ip}:443`);
  return connections.split('\n').filter((line) => CLIENT_ADDRESS.test(line)).length;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function authKeyFile(folder: string): string {
  return path.join(folder, 'auth-key');
}
