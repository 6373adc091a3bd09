import type { ContenderName } from './contender.ts';
import type { Flood, LoadCase } from './generate.ts';
import type { UdpLoad } from './generator.ts';
import type { UdpOptions } from './options.ts';
import type { RowName } from './row-names.ts';
import { World, type UpstreamPrograms } from './world.ts';

/** The result of one contender in one round: figures by name. */
export interface UdpRun {
  readonly round: number;
  readonly contender: ContenderName;
  readonly values: Readonly<Record<string, number>>;
  /** The errors. */
  readonly problems: readonly string[];
  readonly seconds: number;
}

/** Which contender is measured, and how. */
export interface RunOrder {
  readonly name: ContenderName;
  readonly round: number;
  readonly options: UdpOptions;
  readonly programs: UpstreamPrograms;
}

const WARM_UP_TRANSFERS = 4;
const SINGLE: UdpLoad = { flows: 10, burst: 1, window: 32, datagramBytes: 1280 };
const FLOODS: readonly Flood[] = ['unknown VNIs', 'bad MACs', 'spoofed sources'];
const LOADS: readonly LoadCase[] = [
  { name: 'single', load: SINGLE, endpoints: 10, flood: null },
  { name: 'bursts', load: { ...SINGLE, burst: 16, window: 4 }, endpoints: 10, flood: null },
];
/** All loads have the same number of datagrams under way. */
const ENDPOINTS: readonly LoadCase[] = [
  { name: '1 endpoint', load: { ...SINGLE, flows: 1, window: 32 }, endpoints: 1, flood: null },
  { name: '1000 endpoints', load: { ...SINGLE, flows: 100, window: 32 }, endpoints: 1000, flood: null },
];
const FLOODED: readonly LoadCase[] = FLOODS.map((flood) => ({
  name: flood,
  load: { ...SINGLE, flows: 1 },
  endpoints: 1,
  flood,
}));

type Values = Record<string, number>;
type Row = (world: World, options: UdpOptions, values: Values) => Promise<void>;

const MEASURE: Readonly<Record<RowName, Row>> = {
  transfer: async (world, { megabytes }, values) => {
    // Runtimes compile during the first transfers, in threads whose time counts.
    for (let i = 0; i < WARM_UP_TRANSFERS; i++) await world.transfer(i % 2 === 0 ? 'to a' : 'to b', megabytes);
    const [there, back] = [await world.transfer('to a', megabytes), await world.transfer('to b', megabytes)];
    values['transfer CPU ms/MB'] = (there.cpuMsPerMb + back.cpuMsPerMb) / 2;
    values['transfer Mbit/s'] = (there.mbitPerSecond + back.mbitPerSecond) / 2;
  },
  load: (world, options, values) => load(world, LOADS, options, values),
  endpoints: (world, options, values) => load(world, ENDPOINTS, options, values),
  floods: (world, options, values) => load(world, FLOODED, options, values),
  restart: async (world, _options, values) => {
    const { longestMs, allMs } = await world.restartHoles();
    values['restart longest hole ms'] = longestMs;
    values['restart holes ms'] = allMs;
  },
  idle: async (world, { idleSeconds }, values) => {
    const { holeMs, isRelayed } = await world.idleHole(idleSeconds);
    values['idle hole ms'] = holeMs;
    values['idle through the relay'] = isRelayed ? 1 : 0;
  },
};

async function load(world: World, cases: readonly LoadCase[], options: UdpOptions, values: Values): Promise<void> {
  for (const result of await world.load(cases, options.seconds)) {
    values[`${result.name} CPU µs/packet`] = result.cpuUsPerPacket;
    values[`${result.name} thousand/s`] = result.packetsPerSecond / 1000;
    values[`${result.name} lost %`] = result.lost * 100;
    if (result.floodPerSecond > 0) values[`${result.name} flood thousand/s`] = result.floodPerSecond / 1000;
    if (result.wrong > 0) throw new Error(`${result.name}: ${result.wrong} datagrams with other bytes`);
  }
}

/** Measures all rows of one contender, and goes on with the next row when one fails. */
export async function runContender({ name, round, options, programs }: RunOrder): Promise<UdpRun> {
  const startedAt = performance.now();
  const values: Values = {};
  const problems: string[] = [];
  const world = new World(programs);
  const attempt = async (what: string, step: () => Promise<void>): Promise<void> => {
    const before = performance.now();
    try {
      await step();
    } catch (error) {
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      console.log(`round ${round + 1}, ${name}: ${problems.at(-1)}`);
    }
    console.log(`round ${round + 1}, ${name}, ${what}: ${((performance.now() - before) / 1000).toFixed(1)} s`);
  };
  await attempt('start', async () => {
    await world.open(name);
    values['first pong s'] = (await world.firstPong()) / 1000;
  });
  // The result with many endpoints is compared with that of one endpoint of the same relay.
  const rows = options.rows.filter((row) => name !== 'stock' || row !== 'endpoints');
  if (problems.length === 0) for (const row of rows) await attempt(row, () => MEASURE[row](world, options, values));
  await attempt('end', () => world.close());
  for (const [key, value] of Object.entries(values)) console.log(`  ${key}: ${value.toFixed(2)}`);
  return { round, contender: name, values, problems, seconds: (performance.now() - startedAt) / 1000 };
}
