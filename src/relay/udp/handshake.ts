import { decodeDiscoMessage, DiscoType, encodeDiscoMessage } from '../../wire/disco-messages.ts';
import type { HandshakeMessage } from '../../wire/disco-messages.ts';
import { discoSender, openDisco, sealDisco } from '../../wire/disco.ts';
import { GENEVE_BYTES, GeneveProtocol, writeGeneveHeader } from '../../wire/geneve.ts';
import type { NodeKeyPair } from '../../wire/keys.ts';
import { Budgets } from './budgets.ts';
import { DropReason } from './drop-reasons.ts';
import type { Endpoints } from './endpoints.ts';
import { CONTROL_IN_ALL, CONTROL_PER_ENDPOINT, PREVIOUS_ADDRESS_MS } from './limits.ts';
import type { ChallengeInput, MacSecrets } from './mac-secrets.ts';
import { ADDRESS_WORDS, AF_INET, SIDE_WORDS, SideWord, type Arrival } from './port.ts';
import { sameAddress } from './side-address.ts';
import type { VniPool } from './vni-pool.ts';

/** Every control packet has this length, so that no answer is larger than what asked for it (peer relay reference §3.1). */
export const CONTROL_BYTES = 160;

/** The result of a control packet that was not dropped. */
export const ControlResult = { Challenge: -1, Bound: -2 } as const;

/** Parts of the relay that binding needs. */
export interface HandshakeParts {
  readonly endpoints: Endpoints;
  readonly pool: VniPool;
  readonly sides: Int32Array;
  readonly secrets: MacSecrets;
  readonly serverDisco: NodeKeyPair;
}

/** Binds the clients of an endpoint to addresses that they have proved: bind, challenge, answer (peer relay reference §5.4). */
export class Handshake {
  /** The latest challenge, with its Geneve header. */
  readonly reply: Buffer = Buffer.alloc(CONTROL_BYTES);
  readonly #parts: HandshakeParts;
  readonly #perEndpoint: Budgets;
  readonly #inAll = new Budgets(1, CONTROL_IN_ALL);

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
    this.#perEndpoint = new Budgets(parts.pool.slots, CONTROL_PER_ENDPOINT);
  }

  /** Called when a slot gets another endpoint. */
  began(slot: number, now: number): void {
    this.#perEndpoint.reset(slot, now);
  }

  /**
   * Takes the control packet `[arrival.from, to)` for the endpoint in `slot`. Returns a {@link ControlResult}, or the
   * {@link DropReason} for which nothing happened.
   */
  receive(arrival: Arrival, to: number, slot: number): number {
    const { endpoints, pool } = this.#parts;
    const { bytes, now } = arrival;
    const from = arrival.from + GENEVE_BYTES;
    const packet = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from);
    const sender = discoSender(packet);
    if (sender === null) return DropReason.ControlNotDisco;
    const side = endpoints.sideOf(slot, sender);
    if (side < 0) return DropReason.UnknownKey;
    if (!this.#perEndpoint.take(slot, 1, now) || !this.#inAll.take(0, 1, now)) return DropReason.ControlRate;
    const plain = openDisco(endpoints.sharedKeys[side]!, packet);
    if (plain === null) return DropReason.BadBox;
    const message = decodeDiscoMessage(plain);
    if (message?.type !== DiscoType.Bind && message?.type !== DiscoType.Answer) return DropReason.UnexpectedMessage;
    if (message.vni !== pool.vniOf(slot)) return DropReason.WrongVni;
    if (!message.remoteKey.equals(endpoints.keys[side ^ 1]!)) return DropReason.WrongRemoteKey;
    if (message.generation === 0) return DropReason.WrongGeneration;
    return message.type === DiscoType.Bind ? this.#bind(arrival, side, message) : this.#answer(arrival, side, message);
  }

  /**
   * Answers a bind with a challenge. There is no state per source: a client sends binds of one generation to all
   * addresses at once and answers the first challenge.
   */
  #bind(arrival: Arrival, side: number, message: HandshakeMessage): number {
    const { endpoints, serverDisco, secrets } = this.#parts;
    endpoints.generations[side] = message.generation;
    endpoints.bindAt[side] = arrival.now;
    const { vni, generation, remoteKey } = message;
    const challenge = secrets.challenge(inputOf(arrival, message));
    const plain = encodeDiscoMessage({ type: DiscoType.Challenge, vni, generation, remoteKey, challenge });
    writeGeneveHeader(this.reply, 0, vni, GeneveProtocol.Disco, true);
    this.reply.set(sealDisco(serverDisco, endpoints.sharedKeys[side]!, plain), GENEVE_BYTES);
    return ControlResult.Challenge;
  }

  #answer(arrival: Arrival, side: number, message: HandshakeMessage): number {
    const { endpoints, secrets } = this.#parts;
    if (message.generation !== endpoints.generations[side]) return DropReason.WrongGeneration;
    if (!secrets.isValid(message.challenge, inputOf(arrival, message))) return DropReason.WrongChallenge;
    endpoints.generations[side] = 0;
    endpoints.boundAt[side] = arrival.now;
    endpoints.lastSeen[side] = arrival.now;
    this.#moveTo(arrival, side);
    return ControlResult.Bound;
  }

  /** Moves the side to the source of `arrival`. Its earlier address stays valid for {@link PREVIOUS_ADDRESS_MS}. */
  #moveTo(arrival: Arrival, side: number): void {
    const { endpoints, sides } = this.#parts;
    const { words, source } = arrival;
    const at = side * SIDE_WORDS;
    if (endpoints.isBound(side) && !sameAddress(sides, at, words, source)) {
      endpoints.previous.set(sides.subarray(at, at + SIDE_WORDS), at);
      endpoints.previousUntil[side] = arrival.now + PREVIOUS_ADDRESS_MS;
    }
    sides.fill(0, at, at + SIDE_WORDS);
    const isIpv4 = (words[source]! & 0xffff) === AF_INET;
    // After an IPv4 address, the kernel leaves the earlier bytes.
    const length = isIpv4 ? SideWord.Ipv4 + 1 : ADDRESS_WORDS;
    for (let i = 0; i < length; i++) sides[at + i] = words[source + i]!;
    arrival.writeLocal(sides, at);
  }
}

function inputOf({ words, source }: Arrival, { vni, generation, remoteKey }: HandshakeMessage): ChallengeInput {
  return { vni, generation, remoteKey, words, source };
}
