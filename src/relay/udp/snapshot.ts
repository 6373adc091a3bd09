import { DROP_REASON_NAMES } from './drop-reasons.ts';
import type { Endpoints } from './endpoints.ts';
import type { Nodes } from './nodes.ts';
import { SIDE_WORDS, SideWord } from './port.ts';
import { formatAddress } from './side-address.ts';
import type { VniPool } from './vni-pool.ts';

/** One side of an endpoint, for pages and commands. */
export interface SideSnapshot {
  /** Null: not known. */
  readonly node: string | null;
  /** `d:` and 16 hex digits, as upstream shortens disco keys. */
  readonly disco: string;
  /** `ip:port` of the client, or empty while it is not bound. */
  readonly address: string;
  /** The port of ours that it reaches, or 0. */
  readonly localPort: number;
  /** Milliseconds since its latest bind and since it was bound; null: never. */
  readonly bindAgoMs: number | null;
  readonly boundAgoMs: number | null;
  /** Milliseconds since its latest datagram; null: none since it was bound. */
  readonly seenAgoMs: number | null;
  readonly packets: number;
  readonly bytes: number;
}

export interface EndpointSnapshot {
  readonly vni: number;
  readonly state: 'connecting' | 'open';
  /** The node that asked first. */
  readonly asker: string | null;
  readonly ageMs: number;
  readonly sides: readonly [SideSnapshot, SideSnapshot];
}

/** Counts since the start of the relay, and its present state. */
export interface UdpRelaySnapshot {
  readonly connecting: number;
  readonly open: number;
  readonly nodes: number;
  /** Datagrams dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** By family in and out. */
  readonly forwarded: readonly ForwardedSnapshot[];
  readonly challenges: number;
  readonly bindings: number;
  readonly allocations: number;
  readonly endpoints: readonly EndpointSnapshot[];
}

interface ForwardedSnapshot {
  readonly transportIn: 'udp4' | 'udp6';
  readonly transportOut: 'udp4' | 'udp6';
  readonly packets: number;
  readonly bytes: number;
}

/** The counts of the rules. Indices of the forwarded ones are `in * 2 + out`; 1 is IPv6. */
export class UdpRelayCounts {
  readonly drops: Float64Array = new Float64Array(DROP_REASON_NAMES.length);
  readonly forwardedPackets: Float64Array = new Float64Array(4);
  readonly forwardedBytes: Float64Array = new Float64Array(4);
  challenges = 0;
  bindings = 0;
  /** New endpoints. */
  allocations = 0;
}

/** The sources of a snapshot. */
interface SnapshotParts {
  readonly counts: UdpRelayCounts;
  readonly endpoints: Endpoints;
  readonly pool: VniPool;
  readonly nodes: Nodes;
  readonly sides: Int32Array;
}

/** The endpoints that a snapshot shows. */
export interface SnapshotChoice {
  /** Most endpoints. */
  readonly endpoints: number;
  /** Only endpoints that this node requested or is a side of; absent: all of them. */
  readonly node?: string | undefined;
}

/** Returns counts and states, with some of the endpoints. */
export function snapshotOf(parts: SnapshotParts, now: number, choice: SnapshotChoice): UdpRelaySnapshot {
  const { counts, endpoints, nodes } = parts;
  const node = choice.node === undefined ? null : nodes.find(choice.node);
  let open = 0;
  const shown: EndpointSnapshot[] = [];
  for (const slot of endpoints.slots()) {
    if (endpoints.isOpen(slot)) open++;
    if (shown.length < choice.endpoints && (node === null || endpoints.isOf(slot, node)))
      shown.push(endpointSnapshot(parts, slot, now));
  }
  return {
    connecting: endpoints.size - open,
    open,
    nodes: parts.nodes.size,
    drops: Object.fromEntries(DROP_REASON_NAMES.map((name, reason) => [name, counts.drops[reason]!])),
    forwarded: [0, 1, 2, 3].map((pair) => ({
      transportIn: pair < 2 ? 'udp4' : 'udp6',
      transportOut: pair % 2 === 0 ? 'udp4' : 'udp6',
      packets: counts.forwardedPackets[pair]!,
      bytes: counts.forwardedBytes[pair]!,
    })),
    challenges: counts.challenges,
    bindings: counts.bindings,
    allocations: counts.allocations,
    endpoints: shown,
  };
}

/** Returns the sum of what was forwarded in all directions; zeros without a snapshot. */
export function forwardedOf(snapshot: UdpRelaySnapshot | null): { readonly packets: number; readonly bytes: number } {
  const sum = { packets: 0, bytes: 0 };
  for (const { packets, bytes } of snapshot?.forwarded ?? []) {
    sum.packets += packets;
    sum.bytes += bytes;
  }
  return sum;
}

function endpointSnapshot(parts: SnapshotParts, slot: number, now: number): EndpointSnapshot {
  const { endpoints, nodes, pool } = parts;
  return {
    vni: pool.vniOf(slot),
    state: endpoints.isOpen(slot) ? 'open' : 'connecting',
    asker: nodes.nameOf(endpoints.askers[slot]!),
    ageMs: now - endpoints.allocatedAt[slot]!,
    sides: [sideSnapshot(parts, 2 * slot, now), sideSnapshot(parts, 2 * slot + 1, now)],
  };
}

function sideSnapshot({ endpoints, nodes, sides }: SnapshotParts, side: number, now: number): SideSnapshot {
  const ago = (time: number): number | null => (time < 0 ? null : now - time);
  const packets = endpoints.packets[side]!;
  return {
    node: nodes.nameOf(endpoints.sideNodes[side]!),
    disco: `d:${endpoints.keys[side]!.toString('hex', 0, 8)}`,
    address: formatAddress(sides, side * SIDE_WORDS),
    localPort: sides[side * SIDE_WORDS + SideWord.LocalPort]!,
    bindAgoMs: ago(endpoints.bindAt[side]!),
    boundAgoMs: ago(endpoints.boundAt[side]!),
    seenAgoMs: packets === 0 ? null : now - endpoints.lastSeen[side]!,
    packets,
    bytes: endpoints.bytes[side]!,
  };
}
