import { canonicalIp, ipFamily } from '../base/ip-address.ts';
import { parseNodeKey } from '../wire/keys.ts';
import type { Netmap, NetmapPeer, NetmapSelf } from './netmap.ts';

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
  if (ipFamily(text) !== 0) {
    const ip = canonicalIp(text);
    return [...netmap.peers].filter(({ addresses }) => addresses.includes(ip));
  }
  const wanted = text.toLowerCase().replace(/\.$/, '');
  const peers = [...netmap.peers];
  const whole = peers.filter(({ name }) => name.toLowerCase() === wanted);
  if (whole.length > 0 || wanted === '') return whole;
  return peers.filter(({ name }) => name.toLowerCase().split('.', 1)[0] === wanted);
}

/** Returns whether `text` means our own node, in one of the ways of {@link findPeers}. */
export function isNamed({ name, addresses, nodeKey }: NetmapSelf, text: string): boolean {
  const key = parseNodeKey(text);
  if (key !== null) return nodeKey?.equals(key) === true;
  if (ipFamily(text) !== 0) return addresses.includes(canonicalIp(text));
  const own = name.toLowerCase();
  const wanted = text.toLowerCase().replace(/\.$/, '');
  return wanted !== '' && (own === wanted || own.split('.', 1)[0] === wanted);
}
