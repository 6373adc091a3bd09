/**
 * The clients of `paths.ts`, in their namespace, on Node 26: `path-client.ts addresses|rate ORDER`. Prints JSON, and fails
 * when a reply comes from another address or has a wrong byte.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import { nodeKeyPair } from '../../../src/wire/keys.ts';
import { RelayPeer } from '../../relay/udp/relay-peer.ts';
import { UdpGenerator } from '../../../bench/udp/generator.ts';

/** The address of the relay, and the endpoint of the clients, with their private keys. */
export interface ClientOrder {
  readonly port: number;
  readonly ips: readonly string[];
  readonly vni: number;
  readonly serverDisco: string;
  readonly privateKeys: readonly [string, string];
  readonly datagramBytes: number;
  readonly ownIp: string;
}

/** The output of `rate`. */
export interface PathRate {
  readonly mbitPerSecond: number;
  readonly lost: number;
}

const WAIT_MS = 2000;
const TRIES = 10;
const SECONDS = 3;
const BURST = 16;

const order = JSON.parse(process.argv[3] ?? '') as ClientOrder;
const [a, b] = order.privateKeys.map((key) => new RelayPeer(nodeKeyPair(Buffer.from(key, 'hex')))) as [
  RelayPeer,
  RelayPeer,
];
const endpoint = { vni: order.vni, serverDisco: Buffer.from(order.serverDisco, 'hex') };
console.log(JSON.stringify(process.argv[2] === 'rate' ? await rate() : await addresses()));
process.exit();

/** Binds at each address; returns the address from which each challenge came. */
async function addresses(): Promise<string[]> {
  const came: string[] = [];
  for (const [i, ip] of order.ips.entries()) {
    const from = await challengerOf(ip, i + 1);
    if (from !== ip) throw new Error(`asked ${ip}, the challenge came from ${from}`);
    came.push(from);
  }
  return came;
}

async function challengerOf(ip: string, generation: number): Promise<string> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  try {
    for (let i = 0; i < TRIES; i++) {
      const signal = AbortSignal.timeout(WAIT_MS);
      const answer = once(socket, 'message', { signal }) as Promise<[Buffer, { address: string }]>;
      socket.send(a.bind(endpoint, b, generation), order.port, ip);
      const found = await answer.catch(() => null);
      if (found !== null && a.challengeIn(endpoint, found[0]).generation === generation) return found[1].address;
    }
    throw new Error(`no challenge from ${ip}`);
  } finally {
    socket.close();
  }
}

async function rate(): Promise<PathRate> {
  const calls = await loadSystemCalls();
  const { datagramBytes } = order;
  const load = { flows: 1, burst: BURST, window: 4, datagramBytes };
  const test = { ...endpoint, clients: [a, b] as const };
  const generator = new UdpGenerator(calls, load, { ip: order.ownIp, relay: order.ips[0]!, port: order.port }, [test]);
  generator.run(1000);
  const { received } = generator;
  generator.run(SECONDS * 1000);
  const { wrong, lost } = generator;
  const packets = generator.received - received;
  generator.close();
  if (wrong > 0) throw new Error(`${wrong} datagrams with other bytes`);
  if (packets === 0) throw new Error('nothing came through');
  return { mbitPerSecond: (packets * datagramBytes * 8) / 1e6 / SECONDS, lost };
}
