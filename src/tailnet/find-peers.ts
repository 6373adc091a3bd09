import { canonicalIp, ipFamily } from '../base/ip-address.ts';
import { parseNodeKey } from '../wire/keys.ts';
import type { Netmap, NetmapPeer, NetmapSelf } from './netmap.ts';

/** Whether a text is all of what it names a node by, or only the part of its name before the first dot. */
type Match = 'whole' | 'part' | null;

/**
 * Finds the nodes of a network map by `text`: a node key (`nodekey:…`), an IP address in the tailnet, or a name. A name
 * is the whole name or the part before its first dot, in any case. Returns an empty list when there is none, and
 * several nodes with the same short name.
 */
export function findPeers(netmap: Netmap, text: string): readonly NetmapPeer[] {
  const key = parseNodeKey(text);
  if (key !== null) {
    const peer = netmap.peerOf(key);
    return peer === null ? [] : [peer];
  }
  const match = matcher(text);
  const peers = [...netmap.peers];
  const whole = peers.filter((peer) => match(peer) === 'whole');
  return whole.length > 0 ? whole : peers.filter((peer) => match(peer) === 'part');
}

/** Returns whether `text` means our own node, in one of the ways of {@link findPeers}. */
export function isNamed(self: NetmapSelf, text: string): boolean {
  const key = parseNodeKey(text);
  return key !== null ? self.nodeKey?.equals(key) === true : matcher(text)(self) !== null;
}

/** Returns how an IP address or a name fits a node. */
function matcher(text: string): (node: Pick<NetmapPeer, 'name' | 'addresses'>) => Match {
  if (ipFamily(text) !== 0) {
    const ip = canonicalIp(text);
    return ({ addresses }) => (addresses.includes(ip) ? 'whole' : null);
  }
  const wanted = text.toLowerCase().replace(/\.$/, '');
  return ({ name }) => {
    const own = name.toLowerCase();
    if (own === wanted) return 'whole';
    return wanted !== '' && own.split('.', 1)[0] === wanted ? 'part' : null;
  };
}
