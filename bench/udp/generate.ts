/**
 * Sends load through a peer relay, as nodes of its tailnet, and measures what the relay spends: a process of its own for
 * `bench/udp.ts`, on Node 26, next to the relay. Takes a {@link Job} as JSON in its first argument and prints one
 * {@link LoadResult} a line.
 */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { DiscoType } from '../../src/wire/disco-messages.ts';
import { MAX_VNI } from '../../src/wire/geneve.ts';
import { data } from '../../test/relay/udp/relay-peer.ts';
import { UdpGenerator, type TestEndpoint, type UdpLoad } from './generator.ts';
import { NodeClients, type Tailnet } from './node-clients.ts';
import { processCpuNs } from './process-cpu.ts';
import type { FloodOrder } from './flood.ts';

const WARM_UP_MS = 1000;
const NS_PER_US = 1000;
const FLOOD_DATAGRAMS = 64;
const FLOOD_BYTES = 200;

/** Datagrams that are sent in addition to the load, and must be dropped. */
export type Flood = 'unknown VNIs' | 'bad MACs' | 'spoofed sources';

/** One kind of load. */
export interface LoadCase {
  readonly name: string;
  readonly load: UdpLoad;
  /** Number of bound endpoints; the ones without a flow are idle. */
  readonly endpoints: number;
  readonly flood: Flood | null;
}

export interface Job {
  readonly tailnet: Tailnet;
  readonly ip: string;
  readonly port: number;
  readonly relayPid: number;
  readonly seconds: number;
  readonly cases: readonly LoadCase[];
}

/** The result of one case. */
export interface LoadResult {
  readonly name: string;
  readonly cpuUsPerPacket: number;
  readonly packetsPerSecond: number;
  /** Share of the sent datagrams, from 0 to 1. */
  readonly lost: number;
  /** Datagrams that arrived with other bytes. */
  readonly wrong: number;
  /** Datagrams of the flood per second. */
  readonly floodPerSecond: number;
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
const calls = await loadSystemCalls();
if (calls.unavailable !== null) throw new Error(calls.unavailable);
const clients = new NodeClients(job.tailnet);
const endpoints = await clients.allocate(Math.max(...job.cases.map((one) => one.endpoints)));
for (const one of job.cases) console.log(JSON.stringify(await run(one)));
await clients.close();
process.exit(0);

async function run({ name, load, endpoints: count, flood }: LoadCase): Promise<LoadResult> {
  const { ip, port } = job;
  const generator = new UdpGenerator(calls, load, { ip, relay: ip, port }, endpoints.slice(0, count));
  const attack = flood === null ? null : startFlood(datagramsOf(flood, endpoints[0]!));
  generator.run(WARM_UP_MS);
  const [received, lost, cpu] = [generator.received, generator.lost, processCpuNs(job.relayPid)];
  generator.run(job.seconds * 1000);
  const cpuUs = (processCpuNs(job.relayPid) - cpu) / NS_PER_US;
  const packets = generator.received - received;
  const missing = generator.lost - lost;
  const flooded = attack === null ? 0 : await attack();
  const { wrong } = generator;
  generator.close();
  return {
    name,
    cpuUsPerPacket: cpuUs / packets,
    packetsPerSecond: packets / job.seconds,
    lost: missing / (packets + missing),
    wrong,
    floodPerSecond: flooded / (job.seconds + WARM_UP_MS / 1000),
  };
}

/** Starts a thread that floods; returns a function that ends it and resolves with how many datagrams it sent. */
function startFlood(datagrams: readonly Uint8Array[]): () => Promise<number> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const order: FloodOrder = { ip: job.ip, port: job.port, datagrams, stop };
  const worker = new Worker(new URL('flood.ts', import.meta.url), { workerData: order });
  const sent = new Promise<number>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return () => {
    Atomics.store(stop, 0, 1);
    return sent;
  };
}

function datagramsOf(flood: Flood, endpoint: TestEndpoint): Uint8Array[] {
  const [a, b] = endpoint.clients;
  const random = (): number => 1 + (randomBytes(3).readUIntBE(0, 3) % MAX_VNI);
  return Array.from({ length: FLOOD_DATAGRAMS }, (_, i) => {
    if (flood === 'unknown VNIs') return data(random(), FLOOD_BYTES);
    if (flood === 'spoofed sources') return data(endpoint.vni, FLOOD_BYTES);
    const challenge = randomBytes(32);
    const answer = a.control(DiscoType.Answer, endpoint, b, { generation: 1, challenge });
    // Half of them cannot be decrypted.
    if (i % 2 === 0) answer[answer.length - 1]! ^= 1;
    return answer;
  });
}
