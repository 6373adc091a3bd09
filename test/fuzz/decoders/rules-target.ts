import type { GrantedEndpoint } from '../../../src/relay/udp/commands.ts';
import { DiscoType } from '../../../src/wire/disco-messages.ts';
import { LOW_ORDER_KEYS } from '../../wire/low-order-keys.ts';
import { applyEdits, edits } from '../mutate.ts';
import type { Random } from '../random.ts';
import { data, RelayPeer } from '../../relay/udp/relay-peer.ts';
import { RulesWorld, type Outcome } from '../../relay/udp/rules-world.ts';
import { check, type Target } from './target.ts';

const STEPS = 40;
const ENDPOINTS = 4;
/** Most nodes in the tables: at most three for each endpoint, and some that are kept for their allocations. */
const NODES = 4 * ENDPOINTS + 64;
const FLOOD = 60;
const PEERS: readonly RelayPeer[] = Array.from({ length: 4 }, () => new RelayPeer());
const SOURCES: readonly (readonly [string, number])[] = [
  ['192.0.2.1', 1000],
  ['192.0.2.1', 1001],
  ['192.0.2.2', 1000],
  ['2001:db8::1', 1000],
  ['fe80::1', 1000],
];

interface Pair {
  readonly asker: RelayPeer;
  readonly other: RelayPeer;
  readonly endpoint: GrantedEndpoint;
}

/** The rules of the relay under datagrams, allocations, restarts and time in any order. */
class Attack {
  readonly #random: Random;
  readonly #world: RulesWorld;
  readonly #pairs: Pair[] = [];
  /** Sources that got a challenge: no packet is forwarded to any other source. */
  readonly #challenged = new Set<string>();
  #challenge: { readonly pair: Pair; readonly packet: Buffer; readonly source: readonly [string, number] } | null =
    null;

  constructor(random: Random) {
    this.#random = random;
    this.#world = new RulesWorld({ endpoints: ENDPOINTS }, (length) => random.bytes(length));
  }

  run(noise: Buffer): void {
    this.#allocate();
    for (let i = 0; i < STEPS; i++) this.#step(noise);
    this.#checkBounds();
  }

  #step(noise: Buffer): void {
    const random = this.#random;
    const pair = random.pick(this.#pairs);
    const source = random.pick(SOURCES);
    switch (random.below(12)) {
      case 0: {
        this.#allocate();
        return;
      }
      case 1: {
        this.#world.pass(random.pick([1, 1000, 60_000, 130_000]));
        return;
      }
      case 2: {
        this.#send(source, noise);
        return;
      }
      case 3: {
        this.#bind(source, pair);
        return;
      }
      case 4:
      case 5:
      case 6:
        this.#bind(source, pair);
        {
          this.#answer();
          return;
        }
      case 7: {
        this.#forged(source, pair);
        return;
      }
      case 8: {
        this.#batch(source, pair, noise);
        return;
      }
      case 9:
        if (random.once(4)) this.#flood();
        return;
      case 10:
        if (random.once(4)) this.#world.restart();
        return;
      default: {
        this.#send(source, data(pair.endpoint.vni, random.below(1400)));
        return;
      }
    }
  }

  #allocate(): void {
    const [asker, other] = [this.#random.pick(PEERS), this.#random.pick(PEERS)];
    const answer = this.#world.ask(asker, other, String(this.#random.below(100)));
    if (answer.kind === 'granted') this.#pairs.push({ asker, other, endpoint: answer.endpoint });
    else if (this.#pairs.length === 0) this.#allocate();
  }

  /** Many nodes ask for endpoints between random keys. */
  #flood(): void {
    for (let i = 0; i < FLOOD; i++) {
      const key = (): Buffer =>
        this.#random.once(8) ? Buffer.from(this.#random.pick(LOW_ORDER_KEYS), 'hex') : this.#random.bytes(32);
      const clientKeys = [key(), key()] as const;
      const askingKey = this.#random.once(4) ? key() : clientKeys[this.#random.below(2)]!;
      const node = `flood${this.#random.below(1000)}`;
      this.#world.command({ kind: 'allocate', id: 1, clientKeys, askingKey, node, otherNode: null });
    }
    this.#checkBounds();
  }

  #bind(source: readonly [string, number], pair: Pair): void {
    const packet = pair.asker.bind(pair.endpoint, pair.other, 1 + this.#random.below(3));
    const [outcome] = this.#sent(source, packet, 0);
    if (outcome?.verdict === 'reply') this.#challenge = { pair, packet: outcome.reply, source };
  }

  #answer(): void {
    if (this.#challenge === null) return;
    const { pair, packet, source } = this.#challenge;
    // Sometimes from another address; this answer must be ignored.
    this.#send(
      this.#random.once(4) ? this.#random.pick(SOURCES) : source,
      pair.asker.answer(pair.endpoint, pair.other, packet),
    );
  }

  /** A control packet that is wrong in some way. */
  #forged(source: readonly [string, number], { asker, other, endpoint }: Pair): void {
    const random = this.#random;
    const type = random.pick([DiscoType.Bind, DiscoType.Challenge, DiscoType.Answer]);
    const change = random.pick([
      { generation: 0 },
      { vni: random.below(0xff_ff_ff) },
      { remoteKey: random.bytes(32) },
      { headerVni: random.below(0xff_ff_ff) },
      { challenge: random.bytes(32), generation: 1 + random.below(3) },
      {},
    ]);
    const packet = asker.control(type, endpoint, other, change);
    this.#send(source, random.once(2) ? packet : applyEdits(packet, edits(random, packet.length)));
  }

  /** Sends datagrams that the kernel has joined. */
  #batch(source: readonly [string, number], { asker, other, endpoint }: Pair, noise: Buffer): void {
    const random = this.#random;
    const size = 9 + random.below(200);
    const parts = Array.from({ length: 1 + random.below(10) }, () => {
      const part = Buffer.alloc(size);
      random.pick([data(endpoint.vni, size - 8), noise, asker.bind(endpoint, other, 1)]).copy(part);
      return part;
    });
    const tail = random.once(2) ? Buffer.alloc(random.below(size), 7) : Buffer.alloc(0);
    this.#sent(source, Buffer.concat([...parts, tail]), size);
  }

  #send(source: readonly [string, number], datagram: Buffer): void {
    this.#sent(source, datagram, 0);
  }

  #sent(source: readonly [string, number], bytes: Buffer, segment: number): Outcome[] {
    const [ip, port] = source;
    const outcomes = this.#world.sendBatch(ip, port, bytes, segment);
    let forwarded = 0;
    for (const outcome of outcomes) {
      if (outcome.verdict === 'reply') {
        check(outcome.reply.length <= (segment === 0 ? bytes.length : segment), 'no reply is larger than its request');
        this.#challenged.add(this.#name(source));
      } else if (outcome.verdict === 'forward') {
        check(this.#challenged.has(outcome.to), 'nothing goes to an address that nobody has proved');
        check(this.#challenged.has(this.#name(source)), 'nothing comes from an address that nobody has proved');
        forwarded += outcome.bytes;
      }
    }
    check(forwarded <= bytes.length, 'no more goes out than came in');
    return outcomes;
  }

  #name([ip, port]: readonly [string, number]): string {
    return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  }

  #checkBounds(): void {
    const { connecting, open, nodes } = this.#world.snapshot();
    check(connecting + open <= ENDPOINTS, `there are ${ENDPOINTS} endpoints at most`);
    check(nodes <= NODES, `there are ${NODES} nodes at most`);
  }
}

export const RULES_TARGET: Target = {
  name: 'rules of the relay',
  samples: [],
  feed(input, random) {
    new Attack(random).run(input);
  },
};
