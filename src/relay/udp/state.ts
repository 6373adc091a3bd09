import type { Endpoints } from './endpoints.ts';
import type { ExportedSecrets, MacSecrets } from './mac-secrets.ts';
import type { Nodes } from './nodes.ts';
import { SIDE_WORDS, type DatagramPlaces } from './port.ts';
import { hasAddress } from './side-address.ts';
import type { VniPool } from './vni-pool.ts';

/**
 * Everything that the next process needs so that bound pairs continue without a handshake (peer relay reference §7.3):
 * plain data, and secret. Times are ages, since clocks of two processes differ.
 */
export interface UdpRelayState {
  /** 32 bytes. */
  readonly serverPrivateKey: Uint8Array;
  readonly lamportId: number;
  readonly secrets: ExportedSecrets;
  readonly endpoints: readonly EndpointState[];
}

interface EndpointState {
  readonly vni: number;
  readonly lamportId: number;
  readonly asker: string | null;
  readonly ageMs: number;
  readonly sides: readonly [SideState, SideState];
}

interface SideState {
  readonly key: Uint8Array;
  readonly sharedKey: Uint8Array;
  readonly node: string | null;
  /** Words of the side (port); null while it is not bound. */
  readonly words: readonly number[] | null;
  /** The generation of the present handshake, or 0. */
  readonly generation: number;
  readonly seenAgoMs: number;
  /** −1: never. */
  readonly bindAgoMs: number;
  readonly boundAgoMs: number;
  readonly packets: number;
  readonly bytes: number;
}

interface StateParts {
  readonly endpoints: Endpoints;
  readonly pool: VniPool;
  readonly nodes: Nodes;
  readonly sides: Int32Array;
  readonly secrets: MacSecrets;
}

/**
 * Returns the endpoints for the next process. `now` is the clock of the rules in milliseconds. The result is secret.
 */
export function exportState(parts: StateParts, serverPrivateKey: Uint8Array, now: number): UdpRelayState {
  const { endpoints, nodes, pool } = parts;
  return {
    serverPrivateKey: new Uint8Array(serverPrivateKey),
    lamportId: endpoints.lamportId,
    secrets: parts.secrets.export(now),
    endpoints: [...endpoints.slots()].map((slot) => ({
      vni: pool.vniOf(slot),
      lamportId: endpoints.lamportIds[slot]!,
      asker: nodes.nameOf(endpoints.askers[slot]!),
      ageMs: now - endpoints.allocatedAt[slot]!,
      sides: [exportSide(parts, 2 * slot, now), exportSide(parts, 2 * slot + 1, now)],
    })),
  };
}

function exportSide({ endpoints, nodes, sides }: StateParts, side: number, now: number): SideState {
  const at = side * SIDE_WORDS;
  const ago = (time: number): number => (time < 0 ? -1 : now - time);
  return {
    key: new Uint8Array(endpoints.keys[side]!),
    sharedKey: new Uint8Array(endpoints.sharedKeys[side]!),
    node: nodes.nameOf(endpoints.sideNodes[side]!),
    words: hasAddress(sides, at) ? [...sides.subarray(at, at + SIDE_WORDS)] : null,
    generation: endpoints.generations[side]!,
    seenAgoMs: now - endpoints.lastSeen[side]!,
    bindAgoMs: ago(endpoints.bindAt[side]!),
    boundAgoMs: ago(endpoints.boundAt[side]!),
    packets: endpoints.packets[side]!,
    bytes: endpoints.bytes[side]!,
  };
}

/**
 * Restores the endpoints of an earlier process, except the server's key, which the caller has taken. An endpoint is
 * skipped when its slot no longer exists, or when a side was bound to an address that has no socket now. `then` is when
 * the state was taken, on the clock of this process in milliseconds. Returns how many were restored.
 */
export function importState(parts: StateParts, state: UdpRelayState, places: DatagramPlaces, then: number): number {
  parts.endpoints.lamportId = state.lamportId;
  parts.secrets.import(state.secrets, then);
  let restored = 0;
  for (const endpoint of state.endpoints) if (importEndpoint(parts, endpoint, places, then)) restored++;
  return restored;
}

function importEndpoint(parts: StateParts, state: EndpointState, places: DatagramPlaces, then: number): boolean {
  const { endpoints, nodes, pool } = parts;
  const slot = pool.takeBack(state.vni);
  if (slot < 0) return false;
  const [first, second] = state.sides;
  const keys = [Buffer.from(first.key), Buffer.from(second.key)] as const;
  if (!endpoints.restore(slot, keys, [Buffer.from(first.sharedKey), Buffer.from(second.sharedKey)])) {
    pool.release(slot);
    return false;
  }
  endpoints.lamportIds[slot] = state.lamportId;
  endpoints.allocatedAt[slot] = then - state.ageMs;
  const numberOf = (name: string | null): number => (name === null ? -1 : nodes.numberOf(name, then));
  endpoints.setNodes(slot, numberOf(state.asker), [numberOf(first.node), numberOf(second.node)]);
  const areBack = [first, second].map((side, i) => importSide(parts, 2 * slot + i, side, places, then));
  if (areBack.includes(false)) endpoints.end(slot);
  return !areBack.includes(false);
}

function importSide(parts: StateParts, side: number, state: SideState, places: DatagramPlaces, then: number): boolean {
  const { endpoints, sides } = parts;
  endpoints.generations[side] = state.generation;
  endpoints.lastSeen[side] = then - state.seenAgoMs;
  endpoints.bindAt[side] = state.bindAgoMs < 0 ? -1 : then - state.bindAgoMs;
  endpoints.boundAt[side] = state.boundAgoMs < 0 ? -1 : then - state.boundAgoMs;
  // The earlier process has reported them.
  endpoints.packets[side] = endpoints.settledPackets[side] = state.packets;
  endpoints.bytes[side] = endpoints.settledBytes[side] = state.bytes;
  if (state.words === null) return true;
  sides.set(state.words.slice(0, SIDE_WORDS), side * SIDE_WORDS);
  return places.locate(sides, side * SIDE_WORDS);
}
