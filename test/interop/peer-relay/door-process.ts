/**
 * A UDP door with the rules of the relay, in a process of its own: takes a {@link DoorOrder} as JSON, prints a
 * {@link DoorReport}, and ends when its standard input ends.
 */
import { Clock } from '../../../src/base/clock.ts';
import type { UdpRelayAnswer } from '../../../src/relay/udp/commands.ts';
import { openUdpDoor } from '../../../src/relay/udp/open-door.ts';
import { transport } from '../../../src/transport/runtime.ts';

export interface DoorOrder {
  readonly port: number;
  readonly hasSegments: boolean;
  /** Disco keys of the clients of each endpoint, in hex. */
  readonly pairs: readonly (readonly [string, string])[];
}

export interface DoorReport {
  readonly how: string;
  readonly endpoints: readonly { readonly vni: number; readonly serverDisco: string }[];
}

const LIMITS = {
  endpoints: 100,
  endpointsPerNode: 100,
  endpointsPerPair: 100,
  allocationsPerMinute: 1000,
  bytesPerSecondPerNode: 0,
  totalBytesPerSecond: 0,
  idleSeconds: 3600,
};

const { port, hasSegments, pairs } = JSON.parse(process.argv[2] ?? '') as DoorOrder;
const clock = new Clock();
clock.start();
const write = (): void => {};
const door = await openUdpDoor(
  {
    places: ['0.0.0.0', '::'].map((ip) => ({ ip, port })),
    skipsTaken: false,
    offload: { gro: true, gso: hasSegments, neverEqualTail: false },
    stun: { limit: null, generic: null, exempt: [] },
    rules: { limits: LIMITS, state: null, stateAgeMs: 0 },
    endpoints: LIMITS.endpoints,
  },
  { transport, clock, log: { debug: write, info: write, warn: write, error: write } },
);
const endpoints = [];
for (const pair of pairs) {
  const clientKeys = pair.map((key) => Buffer.from(key, 'hex'));
  const request = { kind: 'allocate', id: 1, clientKeys, askingKey: clientKeys[0], node: 'a', otherNode: null };
  const answer = (await door.command(request)) as UdpRelayAnswer;
  if (answer.kind !== 'granted') throw new Error(JSON.stringify(answer));
  const { vni, serverDisco } = answer.endpoint;
  endpoints.push({ vni, serverDisco: Buffer.from(serverDisco).toString('hex') });
}
console.log(JSON.stringify({ how: door.how, endpoints } satisfies DoorReport));
process.stdin.resume().once('end', () => void door.close().then(() => process.exit()));
