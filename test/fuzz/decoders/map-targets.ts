import { BlockList, isIPv6 } from 'node:net';
import { zstdCompressSync } from 'node:zlib';
import { ControlError } from '../../../src/tailnet/control-error.ts';
import { parseDiscoKey, parseMachineKey } from '../../../src/tailnet/key-text.ts';
import { MapFrames } from '../../../src/tailnet/map-frames.ts';
import { readMapResponse, readRegisterResponse } from '../../../src/tailnet/map-response.ts';
import { Netmap } from '../../../src/tailnet/netmap.ts';
import { PacketFilter } from '../../../src/tailnet/packet-filter.ts';
import { retryAfterMs } from '../../../src/tailnet/retry-after.ts';
import { applyEdits, edits } from '../mutate.ts';
import type { Random } from '../random.ts';
import { check, type Target } from './target.ts';

const LIMIT_BYTES = 64 * 1024;
const PEERS = 6;
const CAPABILITY = 'tailscale.com/cap/relay';
const key = (prefix: string, digit: string): string => prefix + digit.repeat(64);
const peer = (id: number, more: object = {}): object => ({
  ID: id,
  Name: `node${id}.`,
  Key: key('nodekey:', String(id % 10)),
  DiscoKey: key('discokey:', String(id % 10)),
  Addresses: [`100.64.0.${id}/32`, `fd7a:115c:a1e0::${id}/128`],
  Cap: 131,
  ...more,
});
const RULE = {
  SrcIPs: ['100.64.0.2', '100.64.0.3-100.64.0.9', '*'],
  CapGrant: [{ Dsts: ['100.64.0.1/32'], CapMap: { [CAPABILITY]: null } }],
};
const FRAME = {
  Node: { ...peer(1), HomeDERP: 900, MachineAuthorized: true, KeyExpiry: '0001-01-01T00:00:00Z', CapMap: { x: null } },
  DERPMap: { Regions: { 900: { Nodes: [{}] } } },
  Peers: [peer(2), peer(3)],
  PacketFilter: [RULE],
  PacketFilters: { base: [RULE], '*': null },
  Domain: 'example.com',
};
const FRAMES: readonly object[] = [
  FRAME,
  { KeepAlive: true, PingRequest: { URL: 'http://127.0.0.1:1/x', Types: '' } },
  { PeersRemoved: [2], PeersChanged: [peer(4), peer(3, { Expired: true, UnsignedPeerAPIOnly: true })] },
  { PeersChangedPatch: [{ NodeID: 3, Key: key('nodekey:', 'a'), DERPRegion: 0 }, null], OnlineChange: { 3: true } },
  { Health: ['x'], TKAInfo: { Disabled: false }, PacketFilters: { '*': null } },
];
const REGISTRATIONS: readonly object[] = [
  { MachineAuthorized: true },
  { AuthURL: 'https://example.com/a', NodeKeyExpired: false },
  { Error: 'no', NodeKeySignature: 'AA==' },
];
/** Wrong values for a member. */
const ODD_VALUES: readonly unknown[] = [
  null,
  0,
  -1,
  1e300,
  '',
  'x'.repeat(300),
  [],
  {},
  [null],
  { a: 1 },
  true,
  [[[]]],
  '1.2.3.4/33',
  '\ud800',
  'nodekey:',
];

/** The map stream: frames of JSON, compressed or not, and the resulting map. */
const mapStream: Target = {
  name: 'map stream',
  samples: [],
  feed(_input, random) {
    const isPacked = random.once(2);
    const frames = new MapFrames(isPacked ? 'zstd' : 'none', LIMIT_BYTES);
    const netmap = new Netmap(PEERS);
    const stream = Buffer.concat(Array.from({ length: 1 + random.below(5) }, () => wireFrame(random, isPacked)));
    const sent = random.once(3) ? applyEdits(stream, edits(random, stream.length)) : stream;
    try {
      for (let at = 0; at < sent.length;) {
        const length = 1 + random.below(random.pick([2, 100, 100_000]));
        frames.push(sent.subarray(at, at + length), (json) => take(netmap, json));
        at += length;
      }
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
    }
  },
};

function wireFrame(random: Random, isPacked: boolean): Buffer {
  const frame = random.pick(FRAMES);
  const text = Buffer.from(JSON.stringify(random.once(3) ? frame : changed(frame, random)));
  const json = random.once(8) ? applyEdits(text, edits(random, text.length)) : text;
  const body = isPacked ? zstdCompressSync(json) : json;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, random.once(8) ? applyEdits(body, edits(random, body.length)) : body]);
}

function take(netmap: Netmap, json: unknown): void {
  netmap.apply(readMapResponse(json));
  check(netmap.peerCount <= PEERS, `a map has ${PEERS} peers at most`);
  for (const one of netmap.peers) {
    netmap.judge(one);
    check(netmap.peer(one.id) === one, 'a peer is found by its id');
    check(one.nodeKey === null || one.nodeKey.length === 32, 'a node key has 32 bytes');
    // Another peer may have had the same key, and its removal may have removed the key.
    const found = one.nodeKey === null ? null : netmap.peerOf(one.nodeKey);
    check(found === null || found.nodeKey?.equals(one.nodeKey!) === true, 'a node key finds a peer that has it');
    const foundByDisco = one.discoKey === null ? null : netmap.peerOfDisco(one.discoKey);
    check(foundByDisco === null || foundByDisco.discoKey?.equals(one.discoKey!) === true, 'and so does a disco key');
  }
}

/** Returns `value` with a wrong value for one member at any depth. */
function changed(value: unknown, random: Random): unknown {
  const isContainer = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isContainer || random.once(6)) return random.pick(ODD_VALUES);
  const names = Object.keys(value);
  const name = random.pick(names);
  const member: unknown = Reflect.get(value, name);
  if (Array.isArray(value)) return value.map((item: unknown, i) => (i === Number(name) ? changed(item, random) : item));
  return { ...value, [random.once(8) ? '__proto__x' : name]: changed(member, random) };
}

/** Texts of a server: answers to a registration, keys and headers. */
const registration: Target = {
  name: 'registration and text of a control server',
  samples: [
    Buffer.from(key('mkey:', 'f')),
    Buffer.from(key('discokey:', '0')),
    Buffer.from('120'),
    Buffer.from('Fri, 27 Nov 2026 18:00:00 GMT'),
  ],
  feed(input, random) {
    try {
      readRegisterResponse(changed(random.pick(REGISTRATIONS), random));
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
    }
    const text = input.toString('latin1');
    const parsed = [parseMachineKey(text), parseDiscoKey(text)];
    check(
      parsed.every((bytes) => bytes === null || bytes.length === 32),
      'a key has 32 bytes',
    );
    for (const status of [429, 503]) {
      const wait = retryAfterMs(text, status);
      check(wait !== null && wait >= 0 && wait <= 300_000, 'nobody makes us wait longer than five minutes');
    }
  },
};

const ADDRESSES = ['100.64.0.2', '100.64.0.200', '10.1.2.3', 'fd7a:115c:a1e0::2', 'fd7a::ffff', '::ffff:100.64.0.2'];
const SELF = ['100.64.0.1', 'fd7a:115c:a1e0::1'];

/** An entry of `SrcIPs`, as text and for the block list of the runtime. */
interface Entry {
  readonly text: string;
  add(list: BlockList): void;
}

const nothing = (text: string): Entry => ({ text, add: () => {} });
const network = (ip: string, bits: number): Entry => ({
  text: `${ip}/${bits}`,
  add: (list) => list.addSubnet(ip, bits, isIPv6(ip) ? 'ipv6' : 'ipv4'),
});
const range = (from: string, to: string): Entry => ({
  text: `${from}-${to}`,
  add: (list) => list.addRange(from, to, isIPv6(from) ? 'ipv6' : 'ipv4'),
});
const single = (ip: string): Entry => ({ text: ip, add: (list) => list.addAddress(ip, isIPv6(ip) ? 'ipv6' : 'ipv4') });
const ENTRIES: readonly Entry[] = [
  ...['100.64.0.2', '100.64.0.200', 'fd7a:115c:a1e0::2'].map(single),
  ...(
    [
      ['100.64.0.0', 10],
      ['100.64.0.128', 25],
      ['10.1.2.3', 32],
      ['0.0.0.0', 0],
      ['fd7a::', 16],
      ['fd7a:115c:a1e0::2', 128],
    ] as const
  ).map(([ip, bits]) => network(ip, bits)),
  range('100.64.0.1', '100.64.0.100'),
  range('fd7a::', 'fd7a::ffff'),
  ...[
    '',
    'x',
    'cap:foo',
    '100.64.0.0/33',
    '100.64.0.2/10',
    '100.64.0.9-100.64.0.1',
    '100.64.0.2-',
    '-100.64.0.2',
    '1.2.3.4-fd7a::1',
    '100.64.0.2/',
    '100.64.0.2/-1',
    '**',
  ].map(nothing),
];

/** The packet filter, compared with one that uses the block list of the runtime. */
const filter: Target = {
  name: 'packet filter',
  samples: [],
  feed(input, random) {
    const entries = Array.from({ length: random.below(4) }, () => random.pick(ENTRIES));
    const isAny = random.once(10);
    const list = new BlockList();
    for (const entry of entries) entry.add(list);
    const filterOfUs = new PacketFilter(CAPABILITY);
    const noise = random.once(4) ? [input.toString('latin1')] : [];
    const grant = { Dsts: SELF, Caps: null, CapMap: { [CAPABILITY]: null } };
    const SrcIPs = [...entries.map(({ text }) => text), ...(isAny ? ['*'] : []), ...noise];
    filterOfUs.setBase([{ SrcIPs, CapGrant: [grant] }]);
    const addresses = Array.from({ length: 1 + random.below(3) }, () => random.pick(ADDRESSES));
    const judgement = filterOfUs.judge({ addresses, isUnsignedPeerApiOnly: false }, SELF);
    if (noise.length > 0) return;
    const holds = (ip: string): boolean => isAny || list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
    check((judgement === 'granted') === holds(addresses[0]!), 'the first address decides (addendum E1)');
    check((judgement === 'none') === !addresses.some(holds), 'no address that is granted is overlooked');
  },
};

/** Decoders of the messages of a control server. */
export const MAP_TARGETS: readonly Target[] = [mapStream, registration, filter];
