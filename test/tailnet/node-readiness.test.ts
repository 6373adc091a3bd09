import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NodePhase } from '../../src/tailnet/node.ts';
import { expiryWarning, nodeProblems } from '../../src/tailnet/node-readiness.ts';
import { readMapResponse } from '../../src/tailnet/map-response.ts';
import { Bench } from './support.ts';

const FACTS = { addresses: 1, unreachedEndpoints: 0, now: Date.parse('2026-06-01T00:00:00Z') };
const PEER = { ID: 2, Key: `nodekey:${'2'.repeat(64)}`, Addresses: ['100.64.0.2/32', 'fd7a::2/128'] };
const BOTH = { Addresses: ['100.64.0.1/32', 'fd7a::1/128'] };

function grant(source: string, destination: string): object {
  return { SrcIPs: [source], CapGrant: [{ Dsts: [destination], Caps: ['tailscale.com/cap/relay'] }] };
}

describe('a node of a tailnet says why it is not ready', () => {
  const cases: readonly [string, RegExp, object, object][] = [
    ['', /^$/, {}, {}],
    ['approval_pending', /Approve/, {}, { MachineAuthorized: false }],
    ['key_expired', /relay login/, {}, { KeyExpiry: '2026-05-01T00:00:00Z' }],
    ['key_expired', /relay login/, {}, { Expired: true, MachineAuthorized: false }],
    ['tailnet_lock', /tailscale lock sign nodekey:/, { TKAInfo: { Head: 'x' } }, {}],
    ['', /^$/, { TKAInfo: { Head: 'x' } }, { KeySignature: 'AAAA' }],
    ['relay_disabled', /attribute/, {}, { CapMap: { 'disable-relay-server': null } }],
    ['region_missing', /towpath derp-map/, { DERPMap: { Regions: { 1: { Nodes: [{}] } } } }, {}],
    ['other_home_region', /state directory/, {}, { HomeDERP: 3 }],
    ['no_tailnet_address', /prefixes/, { Peers: [] }, { Addresses: [] }],
    ['grant_missing', /tag:relay/, { PacketFilter: [] }, {}],
    ['grant_ipv6_only', /IPv4/, { PacketFilter: [grant('fd7a::/16', 'fd7a::1/128')] }, {}],
  ];
  for (const [code, hint, more, self] of cases) {
    it(code === '' ? 'or that it is' : `: ${code}`, async (t) => {
      const bench = await Bench.open(t);
      const node = bench.node();
      const frame = { Peers: [PEER], PacketFilter: [grant('*', '100.64.0.1/32')], ...more };
      node.netmap.apply(readMapResponse(bench.firstFrame(node, frame, { ...BOTH, ...self })));
      node.phase = NodePhase.Online;
      const problems = nodeProblems(node, FACTS);
      assert.deepEqual(problems.map((problem) => problem.code).join(), code);
      assert.match(problems[0]?.hint ?? '', hint);
    });
  }

  it('before there is a map, and when nothing can be reached', async (t) => {
    const bench = await Bench.open(t, { capabilityVersion: 113 });
    const node = bench.node();
    node.error = 'no connection';
    const codes = (facts = FACTS): string =>
      nodeProblems(node, facts)
        .map(({ code }) => code)
        .join();
    assert.equal(codes(), 'capability_version,control_unreachable');
    node.phase = NodePhase.Login;
    node.loginUrl = 'https://login.example.com/';
    const dead = { ...FACTS, addresses: 0, unreachedEndpoints: 5 };
    assert.equal(codes(dead), 'capability_version,login_needed,no_address,nothing_arrives');
  });

  it('warns a week before the key expires', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    node.netmap.apply(readMapResponse(bench.firstFrame(node, {}, { KeyExpiry: '2026-06-03T00:00:00Z' })));
    assert.match(expiryWarning(node, FACTS.now) ?? '', /2026-06-03.*relay login/);
    assert.equal(expiryWarning(node, Date.parse('2026-05-01T00:00:00Z')), null);
  });
});
