/**
 * Tests two properties of real paths, between two network namespaces and on each runtime: replies come from the address that was
 * asked, IPv4 and IPv6 (peer relay §19.23), and a path with a small MTU does not stall (peer relay §19.21). Prints the
 * results, and `passed` or the failure. Needs root, and Node 26 in TOWPATH_NODE_26.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { findRuntime } from '../../../src/cli/runtime.ts';
import { generateNodeKeyPair, privateKeyBytes } from '../../../src/wire/keys.ts';
import type { DoorOrder, DoorReport } from './door-process.ts';
import type { ClientOrder, PathRate } from './path-client.ts';

const PORT = 40_000;
const HUB_IPS = ['10.80.0.1', '10.80.0.2', 'fd80::1', 'fd80::2'];
const CLIENT_IPS = ['10.80.0.9', 'fd80::9'];
/** Length of a datagram that fits 1,400 bytes with the headers of IPv4 and UDP, but not 1,360 bytes. */
const DATAGRAM_BYTES = 1350;
const SMALL_MTU = 1360;
/** Lowest rate of a path that refuses segments, as a share of the rate without segments. */
const EXPECTED_SHARE = 0.8;

const node26 = process.env['TOWPATH_NODE_26'];
if (node26 === undefined) throw new Error('TOWPATH_NODE_26 is not set; use test/interop/peer-relay/run.sh');
const runtimes = { 'Node 24': process.execPath, 'Node 26': node26, Bun: findRuntime('bun') };
const [hub, client] = [`tpp${process.pid}h`, `tpp${process.pid}c`];
const privateKeys = [generateNodeKeyPair(), generateNodeKeyPair()] as const;

function ip(...argv: string[]): void {
  execFileSync('ip', argv, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 30_000 });
}

function makeNamespaces(): void {
  for (const name of [hub, client]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('link', 'add', 'eth0', 'netns', hub, 'type', 'veth', 'peer', 'eth0', 'netns', client);
  for (const [name, ips] of [
    [hub, HUB_IPS],
    [client, CLIENT_IPS],
  ] as const) {
    for (const one of ips) {
      const options = one.includes(':') ? [`${one}/64`, 'dev', 'eth0', 'nodad'] : [`${one}/24`, 'dev', 'eth0'];
      ip('-n', name, 'address', 'add', ...options);
    }
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
}

/** Runs a door of `runtime` in the hub during `use`. */
async function withDoor<T>(
  runtime: string,
  hasSegments: boolean,
  use: (order: Omit<ClientOrder, 'ips' | 'datagramBytes' | 'ownIp'>, how: string) => T,
): Promise<T> {
  const [first, second] = privateKeys.map(({ publicKey }) => publicKey.toString('hex')) as [string, string];
  const order: DoorOrder = { port: PORT, hasSegments, pairs: [[first, second]] };
  const script = path.join(import.meta.dirname, 'door-process.ts');
  const argv = ['netns', 'exec', hub, runtime, script, JSON.stringify(order)];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { how, endpoints } = JSON.parse(line) as DoorReport;
    const keys = privateKeys.map((pair) => privateKeyBytes(pair).toString('hex')) as [string, string];
    return use({ port: PORT, ...endpoints[0]!, privateKeys: keys }, how);
  } finally {
    child.stdin.end();
    await ended;
  }
}

function runClient(what: 'addresses' | 'rate', order: ClientOrder): unknown {
  const script = path.join(import.meta.dirname, 'path-client.ts');
  const argv = ['netns', 'exec', client, node26!, script, what, JSON.stringify(order)];
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  return JSON.parse(execFileSync('ip', argv, { encoding: 'utf8', timeout: 60_000, stdio }));
}

async function rateOf(runtime: string, hasSegments: boolean): Promise<PathRate> {
  const path = { ips: HUB_IPS.slice(0, 1), ownIp: CLIENT_IPS[0]!, datagramBytes: DATAGRAM_BYTES };
  return withDoor(runtime, hasSegments, (order) => runClient('rate', { ...order, ...path }) as PathRate);
}

async function run(): Promise<void> {
  for (const [name, runtime] of Object.entries(runtimes)) {
    const [how, came] = await withDoor(runtime, true, (order, adapter) => [
      adapter,
      runClient('addresses', { ...order, ips: HUB_IPS, ownIp: '', datagramBytes: 0 }) as string[],
    ]);
    console.log(`${name} (${how}): challenges came from the addresses that were asked: ${came.join(', ')}`);
  }
  const route = ['-n', hub, 'route', 'replace', `${CLIENT_IPS[0]!}/32`, 'dev', 'eth0', 'src', HUB_IPS[0]!];
  for (const [name, runtime] of Object.entries(runtimes).slice(1)) {
    ip(...route);
    const large = await rateOf(runtime, true);
    ip(...route, 'mtu', String(SMALL_MTU));
    const apart = await rateOf(runtime, false);
    const small = await rateOf(runtime, true);
    const share = small.mbitPerSecond / apart.mbitPerSecond;
    console.log(
      `${name}: MTU 1500 ${large.mbitPerSecond.toFixed(0)} Mbit/s; MTU ${SMALL_MTU} with segments ${small.mbitPerSecond.toFixed(0)} (${small.lost} lost), never offered any ${apart.mbitPerSecond.toFixed(0)}: ${share.toFixed(2)} of it, expected ${EXPECTED_SHARE}`,
    );
    // Rates on a busy machine vary, but a path that loses its batches is a hundred times slower.
    if (share < EXPECTED_SHARE / 4) throw new Error('the path with the small MTU stalls');
  }
}

try {
  makeNamespaces();
  await run();
  console.log('passed');
} catch (error) {
  console.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
} finally {
  for (const name of [hub, client]) ip('netns', 'delete', name);
}
