import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ControlError } from '../../src/tailnet/control-error.ts';
import { readMapResponse } from '../../src/tailnet/map-response.ts';
import { Netmap } from '../../src/tailnet/netmap.ts';

const key = (digit: string, prefix = 'nodekey:'): string => prefix + digit.repeat(64);
const bytes = (digit: string): Buffer => Buffer.from(digit.repeat(64), 'hex');
const V4 = '100.64.0.1/32';
const V6 = 'fd7a:115c:a1e0::1/128';
const SELF = { ID: 1, Key: key('1'), Addresses: [V4, V6], HomeDERP: 900, MachineAuthorized: true };
const PEER = { ID: 2, Key: key('2'), DiscoKey: key('d', 'discokey:'), Addresses: ['100.64.0.2/32'], Cap: 131 };

function grant(
  sources: readonly string[],
  destinations: readonly string[],
  form: 'CapMap' | 'Caps' = 'CapMap',
): object {
  const name = 'tailscale.com/cap/relay';
  return {
    SrcIPs: sources,
    CapGrant: [{ Dsts: destinations, ...(form === 'Caps' ? { Caps: [name] } : { CapMap: { [name]: null } }) }],
  };
}

function netmap(...frames: readonly object[]): Netmap {
  const map = new Netmap(100);
  for (const frame of frames) map.apply(readMapResponse(frame));
  return map;
}

function judged(map: Netmap, digit = '2'): string | undefined {
  const peer = map.peerOf(bytes(digit));
  return peer === null ? undefined : map.judge(peer);
}

describe('the network map (§19.11)', () => {
  it('takes a full list, then changes, removals and patches, in that order', () => {
    const map = netmap({ Node: SELF, Peers: [PEER, { ...PEER, ID: 3, Key: key('3') }], Domain: 'example.com' });
    assert.equal(map.peerCount, 2);
    assert.deepEqual(map.self?.addresses, ['100.64.0.1', 'fd7a:115c:a1e0::1']);
    map.apply(
      readMapResponse({
        PeersRemoved: [3],
        PeersChanged: [{ ...PEER, ID: 4, Key: key('4') }],
        PeersChangedPatch: [{ NodeID: 4, DiscoKey: key('e', 'discokey:') }, { NodeID: 77, Cap: 1 }, null],
        OnlineChange: { 2: true },
      }),
    );
    assert.equal(map.peerOf(bytes('3')), null);
    assert.deepEqual(map.peerOf(bytes('4'))?.discoKey, bytes('e'));
    assert.equal(map.peerOf(bytes('2'))?.isOnline, true);
    assert.equal(map.domain, 'example.com');
  });

  it('finds a peer under its new key after a patch, and ignores zero members', () => {
    const map = netmap({ Node: SELF, Peers: [PEER] });
    map.apply(
      readMapResponse({ PeersChangedPatch: [{ NodeID: 2, Key: key('5'), Cap: 0, DiscoKey: key('0', 'discokey:') }] }),
    );
    assert.equal(map.peerOf(bytes('2')), null);
    assert.equal(map.peerOf(bytes('5'))?.capabilityVersion, 131);
    assert.deepEqual(map.peerOf(bytes('5'))?.discoKey, bytes('d'));
  });

  it('keeps a full list exclusive of the changes beside it', () => {
    const map = netmap({ Node: SELF, Peers: [PEER] }, { Peers: [], PeersChanged: [PEER] });
    assert.equal(map.peerCount, 0);
  });

  it('reads the home region of both forms, and whether a region has servers', () => {
    const map = netmap({
      Node: { ...SELF, HomeDERP: 0, DERP: '127.3.3.40:901' },
      DERPMap: { Regions: { 900: { Nodes: [{}, {}] }, 901: { Nodes: null }, 902: null } },
    });
    assert.equal(map.self?.homeRegion, 901);
    assert.deepEqual(
      [900, 901, 902, 903].map((id) => map.serversOf(id)),
      [2, 0, 0, 0],
    );
    map.apply(readMapResponse({ DERPMap: {} }));
    assert.equal(map.serversOf(900), 2);
  });

  it('tells the STUN servers of the DERP map, one of each region but our own', () => {
    const map = new Netmap(10);
    const server = (more: object): object => ({ HostName: 'derp.example', ...more });
    const regions = {
      1: { Nodes: [server({ STUNPort: -1 }), server({ HostName: 'stun.example' })] },
      2: { Nodes: [server({ IPv4: '192.0.2.1', IPv6: 'none', STUNPort: 5000 })] },
      3: { Nodes: [server({ IPv4: '192.0.2.3', IPv6: '2001:db8::3' })] },
      4: { Nodes: [server({ STUNPort: -1 })] },
      6: { Nodes: [65_536, 1e9, -5, 1.5].map((STUNPort) => server({ IPv4: '192.0.2.6', STUNPort })) },
      900: { Nodes: [server({ IPv4: '192.0.2.9' })] },
      5: null,
    };
    map.apply(readMapResponse({ DERPMap: { Regions: regions } }));
    assert.deepEqual(map.stunServers(900), [
      { host: 'stun.example', port: 3478 },
      { host: '192.0.2.1', port: 5000 },
      { host: '192.0.2.3', port: 3478 },
      { host: '2001:db8::3', port: 3478 },
    ]);
  });

  it('takes the zero time for a key that never expires', () => {
    assert.equal(netmap({ Node: { ...SELF, KeyExpiry: '0001-01-01T00:00:00Z' } }).self?.keyExpiresAt, null);
    const at = '2026-12-01T00:00:00Z';
    assert.equal(netmap({ Node: { ...SELF, KeyExpiry: at } }).self?.keyExpiresAt, Date.parse(at));
  });

  it('refuses members of a wrong type and maps that are too large, and names what is wrong', () => {
    assert.throws(() => readMapResponse({ Peers: [{ ID: 'x' }] }), /network map.*Peers\.0\.ID/);
    assert.throws(() => readMapResponse(7), ControlError);
    const peers = Array.from({ length: 101 }, (_, i) => ({ ...PEER, ID: i }));
    assert.throws(() => netmap({ Peers: peers }), /peerRelay\.limits\.peers/);
  });
});

describe('the packet filter (§19.11)', () => {
  const base = { Node: SELF, Peers: [PEER] };

  it('grants by capability map and by the older list', () => {
    for (const form of ['CapMap', 'Caps'] as const)
      assert.equal(judged(netmap({ ...base, PacketFilter: [grant(['*'], [V4], form)] })), 'granted');
    assert.equal(
      judged(netmap({ ...base, PacketFilter: [{ SrcIPs: ['*'], CapGrant: [{ Dsts: [V4], CapMap: {} }] }] })),
      'none',
    );
  });

  it('reads all forms of sources, and skips those that are wrong', () => {
    const granted = ['100.64.0.2', '100.64.0.0/10', '100.64.0.0-100.64.0.2', '*'];
    const not = [
      '100.64.0.3',
      '100.64.0.3-100.64.0.9',
      '100.64.0.1/10',
      '100.64.0.9-100.64.0.1',
      'cap:x',
      'fd7a::/8',
      '',
    ];
    for (const source of granted)
      assert.equal(judged(netmap({ ...base, PacketFilter: [grant([source], [V4])] })), 'granted', source);
    for (const source of not)
      assert.equal(judged(netmap({ ...base, PacketFilter: [grant([source], [V4])] })), 'none', source);
    assert.equal(judged(netmap({ ...base, PacketFilter: [grant([...not, ...granted], [V4])] })), 'granted');
  });

  it('looks only at the first pair of addresses of one family, as clients do (addendum E1)', () => {
    const dual = { ...PEER, Addresses: ['100.64.0.2/32', 'fd7a:115c:a1e0::2/128'] };
    const peers = { Node: SELF, Peers: [dual] };
    const only6 = grant(['fd7a:115c:a1e0::/48'], [V6]);
    assert.equal(judged(netmap({ ...peers, PacketFilter: [only6] })), 'other-family-only');
    assert.equal(judged(netmap({ ...peers, PacketFilter: [only6, grant(['100.64.0.2'], [V4])] })), 'granted');
    const alone = { ...PEER, Addresses: ['10.0.0.0/8', 'fd7a:115c:a1e0::2/128'] };
    assert.equal(judged(netmap({ Node: SELF, Peers: [alone], PacketFilter: [only6] })), 'granted');
    const unsigned = { ...PEER, UnsignedPeerAPIOnly: true };
    assert.equal(judged(netmap({ Node: SELF, Peers: [unsigned], PacketFilter: [grant(['*'], [V4])] })), 'none');
  });

  it('replaces filters by name, and clears them all', () => {
    const allowed = [grant(['*'], [V4])];
    const map = netmap({ ...base, PacketFilters: { base: [], more: allowed } });
    assert.equal(judged(map), 'granted');
    map.apply(readMapResponse({ PacketFilters: { more: null } }));
    assert.equal(judged(map), 'none');
    map.apply(readMapResponse({ PacketFilter: allowed }));
    assert.equal(judged(map), 'granted');
    map.apply(readMapResponse({ PacketFilters: { '*': null, other: allowed } }));
    assert.equal(judged(map), 'granted');
    map.apply(readMapResponse({ PacketFilters: { '*': null } }));
    assert.equal(judged(map), 'none');
  });
});
