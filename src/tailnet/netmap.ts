import { canonicalIp, ipFamily } from '../base/ip-address.ts';
import { isZeroKey, parseNodeKey } from '../wire/keys.ts';
import { ControlError } from './control-error.ts';
import { parseDiscoKey } from './key-text.ts';
import type { MapNode, MapPatch, MapRegion, MapResponse, MapServer } from './map-response.ts';
import { PacketFilter, type GrantJudgement, type GrantSubject } from './packet-filter.ts';

/** A node with this capability towards another node may allocate endpoints on it (peer-relay reference §10.1). */
const RELAY_CAPABILITY = 'tailscale.com/cap/relay';
const DEFAULT_STUN_PORT = 3478;
const OLD_HOME = /^127\.3\.3\.40:(\d{1,16})$/;
/** A year before this means that the key never expires. */
const FIRST_YEAR = 1970;

/** Another node of the tailnet. */
export interface NetmapPeer extends GrantSubject {
  readonly id: number;
  /** A name for people. It comes from the control server and must be escaped. */
  readonly name: string;
  /** 32 bytes; null when the server sends none. */
  readonly nodeKey: Buffer | null;
  readonly discoKey: Buffer | null;
  readonly capabilityVersion: number;
  /** 0: none. */
  readonly homeRegion: number;
  /** The server says that the key has expired: see also {@link hasExpired}. */
  readonly isExpired: boolean;
  /** Milliseconds since 1970; null: never. */
  readonly keyExpiresAt: number | null;
  /** Null: the server does not say. */
  readonly isOnline: boolean | null;
}

/**
 * Returns whether the node key of a node has expired. A control server may send only the time: Headscale says so when an
 * administrator ends a key, and nobody says more when the time comes. `now` is in milliseconds since 1970.
 */
export function hasExpired(
  { isExpired, keyExpiresAt }: Pick<NetmapPeer, 'isExpired' | 'keyExpiresAt'>,
  now: number,
): boolean {
  return isExpired || (keyExpiresAt !== null && keyExpiresAt <= now);
}

/** Our own node. */
export interface NetmapSelf {
  readonly name: string;
  readonly nodeKey: Buffer | null;
  readonly addresses: readonly string[];
  readonly homeRegion: number;
  /** Milliseconds since 1970; null: never. */
  readonly keyExpiresAt: number | null;
  readonly isExpired: boolean;
  readonly isAuthorized: boolean;
  /** Whether the key is signed for tailnet lock. */
  readonly isSigned: boolean;
  /** Names of node attributes. */
  readonly attributes: ReadonlySet<string>;
}

/** The address of a STUN server: an IP address or a name to look up. */
export interface StunServerName {
  readonly host: string;
  readonly port: number;
}

/**
 * The network map: the control server's data about its tailnet, updated by {@link apply} (peer-relay reference §15.3).
 */
export class Netmap {
  /** Null until the first frame. */
  self: NetmapSelf | null = null;
  domain = '';
  hasTailnetLock = false;
  readonly #peers = new Map<number, NetmapPeer>();
  /** By node key in hex. */
  readonly #byKey = new Map<string, NetmapPeer>();
  /** By disco key in hex. */
  readonly #byDisco = new Map<string, NetmapPeer>();
  readonly #filter = new PacketFilter(RELAY_CAPABILITY);
  readonly #limitPeers: number;
  #regions: ReadonlyMap<number, readonly MapServer[]> | null = null;

  /** `limitPeers`: a map with more peers is refused. */
  constructor(limitPeers: number) {
    this.#limitPeers = limitPeers;
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  get peers(): Iterable<NetmapPeer> {
    return this.#peers.values();
  }

  /** The peer of a node key of 32 bytes, or null. */
  peerOf(nodeKey: Buffer): NetmapPeer | null {
    return this.#byKey.get(nodeKey.toString('hex')) ?? null;
  }

  /** The peer that has this disco key of 32 bytes, as far as the map knows, or null. */
  peerOfDisco(discoKey: Buffer): NetmapPeer | null {
    return this.#byDisco.get(discoKey.toString('hex')) ?? null;
  }

  peer(id: number): NetmapPeer | null {
    return this.#peers.get(id) ?? null;
  }

  /** Servers of a region in the tailnet's DERP map; 0 when it has no such region, null before there is a map. */
  serversOf(region: number): number | null {
    return this.#regions === null ? null : (this.#regions.get(region)?.length ?? 0);
  }

  /** STUN servers of the tailnet's DERP map, one of each region but `ownRegion`. */
  stunServers(ownRegion: number): StunServerName[] {
    const servers: StunServerName[] = [];
    for (const [region, nodes] of this.#regions ?? []) {
      const node = region === ownRegion ? undefined : nodes.find((server) => stunPortOf(server) !== null);
      if (node === undefined) continue;
      const { HostName, IPv4, IPv6 } = node;
      const ips = [IPv4 ?? '', IPv6 ?? ''].filter((ip) => ipFamily(ip) !== 0);
      const hosts = ips.length > 0 ? ips : HostName === null || HostName === '' ? [] : [HostName];
      for (const host of hosts) servers.push({ host, port: stunPortOf(node)! });
    }
    return servers;
  }

  /** Whether a peer may allocate endpoints here. */
  judge(peer: NetmapPeer): GrantJudgement {
    return this.#filter.judge(peer, this.self?.addresses ?? []);
  }

  /** Applies one frame. Throws a {@link ControlError} when the map becomes too large. */
  apply(response: MapResponse): void {
    const { Node, DERPMap, PacketFilter: base, PacketFilters } = response;
    if (Node !== null) this.self = readSelf(Node);
    if (DERPMap !== null && DERPMap.Regions !== null) this.#regions = readRegions(DERPMap.Regions);
    if (response.Domain !== null && response.Domain !== '') this.domain = response.Domain;
    if (response.TKAInfo !== null) this.hasTailnetLock = response.TKAInfo.Disabled !== true;
    this.#applyPeers(response);
    if (base !== null) this.#filter.setBase(base);
    if (PacketFilters !== null) this.#filter.update(PacketFilters);
  }

  #applyPeers({ Peers, PeersRemoved, PeersChanged, OnlineChange, PeersChangedPatch }: MapResponse): void {
    if (Peers !== null) {
      this.#peers.clear();
      this.#byKey.clear();
      this.#byDisco.clear();
      for (const peer of Peers) this.#put(readPeer(peer));
    } else {
      for (const id of PeersRemoved ?? []) this.#remove(id);
      for (const peer of PeersChanged ?? []) this.#put(readPeer(peer));
    }
    for (const [id, isOnline] of Object.entries(OnlineChange ?? {})) {
      const peer = this.#peers.get(Number(id));
      if (peer !== undefined) this.#put({ ...peer, isOnline });
    }
    for (const patch of PeersChangedPatch ?? []) {
      const peer = patch === null ? undefined : this.#peers.get(patch.NodeID);
      if (peer !== undefined) this.#put(patched(peer, patch!));
    }
  }

  #put(peer: NetmapPeer): void {
    this.#remove(peer.id);
    if (this.#peers.size >= this.#limitPeers) {
      throw new ControlError(
        'protocol',
        `the network map has more peers than peerRelay.limits.peers (${this.#limitPeers}); raise it if the tailnet is that large`,
      );
    }
    this.#peers.set(peer.id, peer);
    if (peer.nodeKey !== null) this.#byKey.set(peer.nodeKey.toString('hex'), peer);
    if (peer.discoKey !== null) this.#byDisco.set(peer.discoKey.toString('hex'), peer);
  }

  #remove(id: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    for (const [index, key] of [
      [this.#byKey, peer.nodeKey],
      [this.#byDisco, peer.discoKey],
    ] as const) {
      const name = key?.toString('hex') ?? '';
      if (index.get(name) === peer) index.delete(name);
    }
  }
}

/** Returns null for a server without STUN, and for a number that is not a port. */
function stunPortOf({ STUNPort }: MapServer): number | null {
  const port = STUNPort || DEFAULT_STUN_PORT;
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : null;
}

function readPeer(node: MapNode): NetmapPeer {
  return {
    id: node.ID,
    name: (node.Name ?? '').replace(/\.$/, ''),
    nodeKey: readKey(parseNodeKey, node.Key),
    discoKey: readKey(parseDiscoKey, node.DiscoKey),
    addresses: singleAddresses(node.Addresses),
    isUnsignedPeerApiOnly: node.UnsignedPeerAPIOnly === true,
    capabilityVersion: node.Cap ?? 0,
    homeRegion: homeRegionOf(node),
    isExpired: node.Expired === true,
    keyExpiresAt: expiry(node.KeyExpiry),
    isOnline: node.Online ?? null,
  };
}

function readSelf(node: MapNode): NetmapSelf {
  return {
    name: (node.Name ?? '').replace(/\.$/, ''),
    nodeKey: readKey(parseNodeKey, node.Key),
    addresses: singleAddresses(node.Addresses),
    homeRegion: homeRegionOf(node),
    keyExpiresAt: expiry(node.KeyExpiry),
    isExpired: node.Expired === true,
    isAuthorized: node.MachineAuthorized === true,
    isSigned: node.KeySignature !== null && node.KeySignature !== '',
    attributes: new Set([...Object.keys(node.CapMap ?? {}), ...(node.Capabilities ?? [])]),
  };
}

/** Zero and null members mean "unchanged". */
function patched(peer: NetmapPeer, patch: MapPatch): NetmapPeer {
  return {
    ...peer,
    nodeKey: readKey(parseNodeKey, patch.Key) ?? peer.nodeKey,
    discoKey: readKey(parseDiscoKey, patch.DiscoKey) ?? peer.discoKey,
    capabilityVersion: patch.Cap || peer.capabilityVersion,
    homeRegion: patch.DERPRegion || peer.homeRegion,
    isOnline: patch.Online ?? peer.isOnline,
    ...(patch.KeyExpiry === null ? {} : { isExpired: false, keyExpiresAt: expiry(patch.KeyExpiry) }),
  };
}

function readKey(parse: (text: string) => Buffer | null, text: string | null): Buffer | null {
  const key = text === null ? null : parse(text);
  return key === null || isZeroKey(key) ? null : key;
}

function homeRegionOf({ HomeDERP, DERP }: MapNode): number {
  if (HomeDERP !== null && HomeDERP !== 0) return HomeDERP;
  const old = OLD_HOME.exec(DERP ?? '');
  return old === null ? 0 : Number(old[1]);
}

/** Returns the single addresses. Networks of more than one address are ignored. */
function singleAddresses(prefixes: readonly string[] | null): string[] {
  const addresses: string[] = [];
  for (const prefix of prefixes ?? []) {
    const [ip = '', bits] = prefix.split('/');
    const family = ipFamily(ip);
    if ((family === 4 && bits === '32') || (family === 6 && bits === '128')) addresses.push(canonicalIp(ip));
  }
  return addresses;
}

function expiry(text: string | null): number | null {
  const at = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) || new Date(at).getUTCFullYear() < FIRST_YEAR ? null : at;
}

function readRegions(regions: Readonly<Record<string, MapRegion | null>>): Map<number, MapServer[]> {
  return new Map(
    Object.entries(regions).map(([id, region]) => [Number(id), (region?.Nodes ?? []).filter((node) => node !== null)]),
  );
}
