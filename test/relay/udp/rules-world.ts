import { randomBytes } from 'node:crypto';
import type { GrantedEndpoint, UdpRelayAnswer } from '../../../src/relay/udp/commands.ts';
import { DROP_REASON_NAMES } from '../../../src/relay/udp/drop-reasons.ts';
import type { UdpRelayLimits } from '../../../src/relay/udp/limits.ts';
import { ADDRESS_WORDS, SIDE_WORDS, SideWord, Verdict, type Arrival } from '../../../src/relay/udp/port.ts';
import { UdpRelayRules } from '../../../src/relay/udp/rules.ts';
import { formatAddress, writeAddress } from '../../../src/relay/udp/side-address.ts';
import type { NodeTraffic } from '../../../src/relay/udp/node-traffic.ts';
import type { UdpRelaySnapshot } from '../../../src/relay/udp/snapshot.ts';
import type { UdpRelayState } from '../../../src/relay/udp/state.ts';
import { RelayPeer } from './relay-peer.ts';

const LIMITS: UdpRelayLimits = {
  endpoints: 8,
  endpointsPerNode: 8,
  endpointsPerPair: 8,
  allocationsPerMinute: 1000,
  bytesPerSecondPerNode: 0,
  totalBytesPerSecond: 0,
  idleSeconds: 3600,
};

/** The result for a datagram. */
export type Outcome =
  | { readonly verdict: 'drop'; readonly reason: string | null }
  | { readonly verdict: 'reply'; readonly reply: Buffer }
  | { readonly verdict: 'forward'; readonly to: string; readonly bytes: number };

/** The rules with a clock that the test sets, and datagrams from any address. */
export class RulesWorld {
  now = 1_000_000;
  rules: UdpRelayRules;
  /** The port that clients send to. */
  localPort = 3478;
  /** Ports of the process after a restart. */
  ports: number[] = [3478, 443];
  #awayMs = 0;
  readonly #words = new Int32Array(ADDRESS_WORDS);
  readonly #limits: UdpRelayLimits;
  readonly #randomBytes: (length: number) => Buffer;

  constructor(limits: Partial<UdpRelayLimits> = {}, random: (length: number) => Buffer = randomBytes) {
    this.#limits = { ...LIMITS, ...limits };
    this.#randomBytes = random;
    this.rules = this.#make(null);
  }

  /** Ends the process and starts the next one with its state; `null`: without a state. */
  restart(state: UdpRelayState | null = this.exportState(), awayMs = 1000): void {
    this.now += 123_456;
    this.#awayMs = awayMs;
    this.rules = this.#make(state && structuredClone(state));
  }

  exportState(): UdpRelayState {
    const answer = this.#command({ kind: 'export', id: 1 });
    if (answer?.kind !== 'exported') throw new Error('nothing was exported');
    return answer.state;
  }

  /** Asks for an endpoint as a node; returns the answer. */
  ask(asker: RelayPeer, other: RelayPeer, node = 'a', otherNode: string | null = null): UdpRelayAnswer {
    const clientKeys = [asker.keys.publicKey, other.keys.publicKey] as const;
    const command = { kind: 'allocate', id: 7, clientKeys, askingKey: asker.keys.publicKey, node, otherNode } as const;
    return this.#command(command)!;
  }

  /** Asks for an endpoint; throws an Error if it is refused. */
  allocate(asker: RelayPeer, other: RelayPeer, node = 'a', otherNode: string | null = null): GrantedEndpoint {
    const answer = this.ask(asker, other, node, otherNode);
    if (answer.kind !== 'granted') throw new Error(`refused: ${JSON.stringify(answer)}`);
    return answer.endpoint;
  }

  /** Asks for an endpoint; returns the reason of the refusal, or null. */
  refusal(asker: RelayPeer, other: RelayPeer, node = 'a', otherNode: string | null = null): string | null {
    const answer = this.ask(asker, other, node, otherNode);
    return answer.kind === 'refused' ? answer.reason : null;
  }

  command(command: Parameters<UdpRelayRules['command']>[0]): void {
    this.#command(command);
  }

  traffic(): readonly NodeTraffic[] {
    const answer = this.#command({ kind: 'traffic', id: 2 });
    if (answer?.kind !== 'traffic') throw new Error('there is no traffic');
    return answer.nodes;
  }

  snapshot(): UdpRelaySnapshot {
    const answer = this.#command({ kind: 'snapshot', id: 1, endpoints: 100 });
    if (answer?.kind !== 'snapshot') throw new Error('there is no snapshot');
    return answer.snapshot;
  }

  /** Advances the clock, with a tick each second. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      this.now += Math.min(left, 1000);
      this.rules.tick(this.now);
    }
  }

  /** Gives the rules one datagram from `ip`:`port`. */
  send(ip: string, port: number, datagram: Uint8Array): Outcome {
    return this.sendBatch(ip, port, datagram, 0)[0]!;
  }

  /** Gives the rules a batch of segments, until its end. */
  sendBatch(ip: string, port: number, bytes: Uint8Array, segment: number): Outcome[] {
    if (!writeAddress(this.#words, 0, ip, port)) throw new Error(`${ip} is not an address`);
    const padded = new Uint8Array(bytes.length + 6);
    padded.set(bytes, 3);
    const end = bytes.length + 3;
    const outcomes: Outcome[] = [];
    let from = 3;
    do {
      outcomes.push(this.#receive({ bytes: padded, from, to: end, segment }));
      if (this.rules.end <= from && bytes.length > 0) throw new Error('the rules make no progress');
      from = this.rules.end;
    } while (from < end);
    return outcomes;
  }

  /** Binds a peer at an address. */
  bind(peer: RelayPeer, remote: RelayPeer, endpoint: GrantedEndpoint, ip: string, port: number, generation = 1): void {
    const challenge = this.send(ip, port, peer.bind(endpoint, remote, generation));
    if (challenge.verdict !== 'reply') throw new Error(`no challenge: ${JSON.stringify(challenge)}`);
    const answer = this.send(ip, port, peer.answer(endpoint, remote, challenge.reply));
    if (answer.verdict !== 'drop' || answer.reason !== null) throw new Error(`not bound: ${JSON.stringify(answer)}`);
  }

  #receive(datagrams: { bytes: Uint8Array; from: number; to: number; segment: number }): Outcome {
    const { rules, now } = this;
    const before = Float64Array.from(rules.counts.drops);
    const { localPort } = this;
    const arrival: Arrival = {
      ...datagrams,
      words: this.#words,
      source: 0,
      now,
      writeLocal(sides, side) {
        sides[side + SideWord.Socket] = localPort === 3478 ? 1 : 2;
        sides[side + SideWord.LocalPort] = localPort;
      },
    };
    const verdict = rules.receive(arrival);
    const reason = rules.counts.drops.findIndex((count, i) => count !== before[i]);
    if (verdict === Verdict.Reply)
      return { verdict: 'reply', reply: Buffer.from(rules.reply.subarray(0, rules.replyLength)) };
    if (verdict === Verdict.Drop) return { verdict: 'drop', reason: DROP_REASON_NAMES[reason] ?? null };
    const to = formatAddress(rules.sides, rules.destination * SIDE_WORDS);
    return { verdict: 'forward', to, bytes: rules.end - datagrams.from };
  }

  #command(command: unknown): UdpRelayAnswer | null {
    const answer = this.rules.command(structuredClone(command), this.now);
    return answer && structuredClone(answer);
  }

  #make(state: UdpRelayState | null): UdpRelayRules {
    const memory = new Int32Array(2 * this.#limits.endpoints * SIDE_WORDS);
    const places = {
      locate: (sides: Int32Array, side: number) => {
        sides[side + SideWord.Socket] = 5;
        return this.ports.includes(sides[side + SideWord.LocalPort]!);
      },
    };
    return new UdpRelayRules(
      { limits: this.#limits, state, stateAgeMs: state === null ? 0 : this.#awayMs },
      memory,
      places,
      this.now,
      this.#randomBytes,
    );
  }
}

/** Two peers with a bound endpoint between them, A at 192.0.2.1:1000, B at 192.0.2.2:2000. */
export function boundPair(world: RulesWorld): { a: RelayPeer; b: RelayPeer; endpoint: GrantedEndpoint } {
  const [a, b] = [new RelayPeer(), new RelayPeer()];
  const endpoint = world.allocate(a, b);
  world.bind(a, b, endpoint, '192.0.2.1', 1000);
  world.bind(b, a, endpoint, '192.0.2.2', 2000);
  return { a, b, endpoint };
}
