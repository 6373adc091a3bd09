import { GENEVE_BYTES, geneveVni, isGeneve, isGeneveControl } from '../../wire/geneve.ts';
import { nodeKeyPair } from '../../wire/keys.ts';
import { Budgets } from './budgets.ts';
import type { NodeRate, UdpRelayAnswer, UdpRelayCommand } from './commands.ts';
import { DropReason } from './drop-reasons.ts';
import { Endpoints } from './endpoints.ts';
import { ControlResult, CONTROL_BYTES, Handshake } from './handshake.ts';
import { BIND_LIFETIME_MS, byteRate, type UdpRelayLimits } from './limits.ts';
import { MacSecrets } from './mac-secrets.ts';
import { NO_NODE, Nodes } from './nodes.ts';
import { SIDE_WORDS, Verdict, type Arrival, type DatagramPlaces, type DatagramRules } from './port.ts';
import { isIpv6, sameAddress } from './side-address.ts';
import { snapshotOf, UdpRelayCounts } from './snapshot.ts';
import { exportState, importState, type UdpRelayState } from './state.ts';
import { VniPool } from './vni-pool.ts';

const PRIVATE_KEY_BYTES = 32;

/** Start settings of the rules: plain data, so that they can be passed to a thread. */
export interface UdpRelaySettings {
  readonly limits: UdpRelayLimits;
  /** The state that an earlier process left, or null, and its age in milliseconds. */
  readonly state: UdpRelayState | null;
  readonly stateAgeMs: number;
}

/** A source of random bytes. */
export type RandomBytes = (length: number) => Buffer;

/**
 * The rules of the peer relay: which source may send to which side (peer relay reference §5). Forwarding costs no
 * allocation. The caller gives time and random bytes, and sends the datagrams.
 */
export class UdpRelayRules implements DatagramRules {
  readonly sides: Int32Array;
  readonly reply: Uint8Array;
  readonly replyLength: number = CONTROL_BYTES;
  readonly counts: UdpRelayCounts = new UdpRelayCounts();
  destination = 0;
  end = 0;
  readonly #pool: VniPool;
  readonly #nodes: Nodes;
  readonly #endpoints: Endpoints;
  readonly #secrets: MacSecrets;
  readonly #handshake: Handshake;
  readonly #total: Budgets;
  readonly #serverPrivateKey: Uint8Array;
  readonly #serverPublicKey: Buffer;

  /** `memory` has {@link SIDE_WORDS} words for two sides of each endpoint that `settings.limits` allows. */
  constructor(
    { limits, state, stateAgeMs }: UdpRelaySettings,
    memory: Int32Array,
    places: DatagramPlaces,
    now: number,
    randomBytes: RandomBytes,
  ) {
    this.sides = memory;
    this.#serverPrivateKey = state?.serverPrivateKey ?? randomBytes(PRIVATE_KEY_BYTES);
    const serverDisco = nodeKeyPair(Buffer.from(this.#serverPrivateKey));
    this.#serverPublicKey = serverDisco.publicKey;
    const pool = new VniPool(memory.length / (2 * SIDE_WORDS), () => randomBytes(4).readUInt32LE(0));
    const nodes = new Nodes(pool.slots, limits);
    const secrets = new MacSecrets(randomBytes, now);
    const { privateKey: serverPrivate, publicKey: serverPublic } = serverDisco;
    const endpoints = new Endpoints({ serverPrivate, serverPublic, pool, nodes, sides: memory, limits });
    this.#pool = pool;
    this.#nodes = nodes;
    this.#secrets = secrets;
    this.#endpoints = endpoints;
    this.#handshake = new Handshake({ endpoints, pool, sides: memory, secrets, serverDisco });
    this.reply = this.#handshake.reply;
    this.#total = new Budgets(1, byteRate(limits.totalBytesPerSecond));
    if (state !== null) importState(this.#parts, state, places, now - stateAgeMs);
  }

  receive(arrival: Arrival): Verdict {
    const { bytes, from, to, segment } = arrival;
    const end = segment > 0 && segment < to - from ? from + segment : to;
    this.end = end;
    if (!isGeneve(bytes, from, end)) {
      return this.#drop(end - from < GENEVE_BYTES ? DropReason.Short : DropReason.NotGeneve);
    }
    const vni = geneveVni(bytes, from);
    const slot = this.#pool.slotOf(vni);
    if (slot < 0) return this.#drop(DropReason.UnknownVni);
    if (isGeneveControl(bytes, from)) return this.#control(arrival, end, slot);
    const side = this.#senderOf(slot, arrival);
    if (side < 0) {
      return this.#drop(this.#endpoints.isOpen(slot) ? DropReason.UnknownSource : DropReason.NotBound);
    }
    const packets = segment > 0 ? this.#extend(arrival, vni) : 1;
    return this.#forward(arrival, side, packets);
  }

  tick(now: number): void {
    this.#endpoints.tick(now);
    this.#nodes.tick(now);
    this.#secrets.rotate(now);
  }

  command(message: unknown, now: number): UdpRelayAnswer | null {
    const command = message as UdpRelayCommand;
    switch (command.kind) {
      case 'allocate':
        return this.#allocate(command, now);
      case 'revoke':
        for (const node of command.nodes) this.#endpoints.revoke(this.#nodes.find(node));
        return null;
      case 'limits':
        this.#setLimits(command.limits);
        return null;
      case 'rates':
        this.#setRates(command.rates);
        return null;
      case 'snapshot':
        return { kind: 'snapshot', id: command.id, snapshot: snapshotOf(this.#parts, now, command) };
      case 'traffic':
        return { kind: 'traffic', id: command.id, nodes: this.#endpoints.takeTraffic() };
      case 'export':
        return { kind: 'exported', id: command.id, state: exportState(this.#parts, this.#serverPrivateKey, now) };
    }
  }

  get #parts() {
    return {
      counts: this.counts,
      endpoints: this.#endpoints,
      pool: this.#pool,
      nodes: this.#nodes,
      sides: this.sides,
      secrets: this.#secrets,
    };
  }

  #allocate(command: Extract<UdpRelayCommand, { kind: 'allocate' }>, now: number): UdpRelayAnswer {
    const { id, node, otherNode, rates } = command;
    const endpoints = this.#endpoints;
    const [first, second] = command.clientKeys;
    const clientKeys = [Buffer.from(first), Buffer.from(second)] as const;
    const before = endpoints.lamportId;
    const slot = endpoints.allocate({ clientKeys, askingKey: Buffer.from(command.askingKey), node, otherNode }, now);
    if (typeof slot === 'string') return { kind: 'refused', id, reason: slot };
    if (rates !== undefined) this.#setRates(rates);
    if (endpoints.lamportId !== before) {
      this.counts.allocations++;
      this.#handshake.began(slot, now);
    }
    const endpoint = {
      serverDisco: this.#serverPublicKey,
      clientKeys: [endpoints.keys[2 * slot]!, endpoints.keys[2 * slot + 1]!] as const,
      lamportId: endpoints.lamportIds[slot]!,
      vni: this.#pool.vniOf(slot),
      bindLifetimeMs: BIND_LIFETIME_MS,
      steadyLifetimeMs: endpoints.limits.idleSeconds * 1000,
    };
    return { kind: 'granted', id, endpoint };
  }

  #setRates(rates: readonly NodeRate[]): void {
    for (const { node, bytesPerSecond } of rates) this.#nodes.setRate(this.#nodes.find(node), bytesPerSecond);
  }

  #setLimits(limits: UdpRelayLimits): void {
    this.#endpoints.limits = limits;
    this.#nodes.setLimits(limits);
    this.#total.setRate(byteRate(limits.totalBytesPerSecond));
  }

  #drop(reason: number): Verdict {
    this.counts.drops[reason]!++;
    return Verdict.Drop;
  }

  #control(arrival: Arrival, end: number, slot: number): Verdict {
    const result = this.#handshake.receive(arrival, end, slot);
    if (result === ControlResult.Challenge) {
      this.counts.challenges++;
      return Verdict.Reply;
    }
    if (result !== ControlResult.Bound) return this.#drop(result);
    this.counts.bindings++;
    return Verdict.Drop;
  }

  /** Returns the side that the data comes from, when both are bound; −1: from neither. */
  #senderOf(slot: number, { words, source, now }: Arrival): number {
    const { sides } = this;
    const first = 2 * slot;
    const second = first + 1;
    if (sides[first * SIDE_WORDS] === 0 || sides[second * SIDE_WORDS] === 0) return -1;
    if (sameAddress(sides, first * SIDE_WORDS, words, source)) return first;
    if (sameAddress(sides, second * SIDE_WORDS, words, source)) return second;
    const { previous, previousUntil } = this.#endpoints;
    if (now < previousUntil[first]! && sameAddress(previous, first * SIDE_WORDS, words, source)) return first;
    if (now < previousUntil[second]! && sameAddress(previous, second * SIDE_WORDS, words, source)) return second;
    return -1;
  }

  /** Adds the segments after the first that are data of the same endpoint. Returns their number, with the first. */
  #extend({ bytes, to, segment }: Arrival, vni: number): number {
    let packets = 1;
    while (this.end < to) {
      const next = this.end + segment < to ? this.end + segment : to;
      if (!isGeneve(bytes, this.end, next) || geneveVni(bytes, this.end) !== vni) break;
      if (isGeneveControl(bytes, this.end)) break;
      this.end = next;
      packets++;
    }
    return packets;
  }

  #forward({ from, now }: Arrival, side: number, packets: number): Verdict {
    const endpoints = this.#endpoints;
    const bytes = this.end - from;
    const known = endpoints.sideNodes[side]!;
    const node = known === NO_NODE ? endpoints.askers[side >> 1]! : known;
    if (!this.#nodes.maySend(node, bytes, now)) return this.#dropped(DropReason.NodeRate, packets);
    if (!this.#total.take(0, bytes, now)) return this.#dropped(DropReason.TotalRate, packets);
    endpoints.lastSeen[side] = now;
    endpoints.packets[side]! += packets;
    endpoints.bytes[side]! += bytes;
    this.destination = side ^ 1;
    const pair =
      (isIpv6(this.sides, side * SIDE_WORDS) ? 2 : 0) + (isIpv6(this.sides, this.destination * SIDE_WORDS) ? 1 : 0);
    this.counts.forwardedPackets[pair]! += packets;
    this.counts.forwardedBytes[pair]! += bytes;
    return Verdict.Forward;
  }

  #dropped(reason: number, packets: number): Verdict {
    this.counts.drops[reason]! += packets;
    return Verdict.Drop;
  }
}
