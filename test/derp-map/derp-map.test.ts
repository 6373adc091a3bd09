import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { derpMapFor, type DerpMapSettings } from '../../src/derp-map/derp-map-builder.ts';
import { formatDerpMap } from '../../src/derp-map/derp-map-text.ts';
import { parseDerpMap, type DerpNode } from '../../src/derp-map/derp-map.ts';

const PIN = 'ab'.repeat(32);
const SETTINGS: DerpMapSettings = {
  region: { id: 900, code: 'home', name: 'At "home"', nodeName: '900a' },
  hostName: '203.0.113.7',
  ipv4: '',
  ipv6: '',
  derpPort: 8443,
  stunPort: 3478,
  answersPort80: true,
  pin: PIN,
  omitDefaultRegions: false,
};

function nodesOf(changes: Partial<DerpMapSettings>): readonly DerpNode[] {
  return derpMapFor({ ...SETTINGS, ...changes }).Regions['900']!.Nodes;
}

describe('derpMapFor (§8.1)', () => {
  it('names the pin, the address, and ports only when they are not the usual ones', () => {
    assert.deepEqual(nodesOf({}), [
      {
        Name: '900a',
        RegionID: 900,
        HostName: '203.0.113.7',
        CertName: `sha256-raw:${PIN}`,
        IPv4: '203.0.113.7',
        IPv6: 'none',
        DERPPort: 8443,
        CanPort80: true,
      },
    ]);
    const plain = { hostName: 'relay.example.com', derpPort: 443, pin: null, answersPort80: false };
    assert.deepEqual(nodesOf(plain), [{ Name: '900a', RegionID: 900, HostName: 'relay.example.com' }]);
    assert.equal(nodesOf({ stunPort: -1 })[0]?.STUNPort, -1);
    assert.equal(nodesOf({ stunPort: 3479 })[0]?.STUNPort, 3479);
  });

  it('claims port 80 only together with an IPv4 address', () => {
    assert.equal(nodesOf({ hostName: 'relay.example.com' })[0]?.CanPort80, undefined);
    assert.equal(nodesOf({ hostName: 'relay.example.com', ipv4: 'none' })[0]?.CanPort80, undefined);
    assert.equal(nodesOf({ hostName: 'relay.example.com', ipv4: '203.0.113.7' })[0]?.CanPort80, true);
    assert.equal(nodesOf({ answersPort80: false })[0]?.CanPort80, undefined);
    assert.equal(nodesOf({ hostName: '2001:db8::7' })[0]?.CanPort80, undefined);
  });
});

describe('formatDerpMap', () => {
  const map = derpMapFor({ ...SETTINGS, omitDefaultRegions: true });

  it('json is the map itself, in the spelling of §8.1', () => {
    const text = formatDerpMap(map, 'json', ['not here']);
    assert.deepEqual(JSON.parse(text), map);
    assert.match(text, /"omitDefaultRegions": true/);
  });

  it('policy can be pasted into a policy file', () => {
    const text = formatDerpMap(map, 'policy', ['a note', 'another']);
    assert.ok(text.startsWith('// a note\n// another\n"derpMap": {'));
    const policy: unknown = JSON.parse(`{${text.replace(/^\/\/.*$/gm, '')}"acls": []}`);
    const { omitDefaultRegions, ...rest } = map;
    assert.deepEqual(policy, { derpMap: { OmitDefaultRegions: omitDefaultRegions, ...rest }, acls: [] });
  });

  it('headscale is YAML with keys in lower case', () => {
    const value: unknown = parseYaml(formatDerpMap(map, 'headscale', ['a note']), { stringKeys: true });
    const node = {
      name: '900a',
      regionid: 900,
      hostname: '203.0.113.7',
      certname: `sha256-raw:${PIN}`,
      ipv4: '203.0.113.7',
      ipv6: 'none',
      derpport: 8443,
      canport80: true,
    };
    const region = { regionid: 900, regioncode: 'home', regionname: 'At "home"', nodes: [node] };
    assert.deepEqual(value, { omitdefaultregions: true, regions: { 900: region } });
  });

  it('YAML and JSON are read back as the same map', () => {
    const yaml: unknown = parseYaml(formatDerpMap(map, 'headscale'));
    assert.deepEqual(parseDerpMap(yaml), map);
    assert.deepEqual(parseDerpMap(JSON.parse(formatDerpMap(map, 'json'))), map);
    const empty = { Regions: { 1: { RegionID: 1, RegionCode: '', RegionName: '', Nodes: [] } } };
    assert.deepEqual(parseDerpMap(parseYaml(formatDerpMap(empty, 'headscale'))), empty);
  });
});

describe('parseDerpMap', () => {
  const node = { Name: 'n', RegionID: 900, HostName: 'h.example' };

  function mapOf(region: object, id = '900'): unknown {
    return { regions: { [id]: { regionID: 900, ...region } } };
  }

  it('finds keys in any case and passes over those it does not know', () => {
    const value = {
      REGIONS: { 900: { regionid: 900, regioncode: 'x', latitude: 1, nodes: [{ ...node, stuntestip: '' }] } },
    };
    const region = { RegionID: 900, RegionCode: 'x', RegionName: '', Nodes: [node] };
    assert.deepEqual(parseDerpMap(value), { Regions: { 900: region } });
  });

  it('takes a null region for one that is taken out, and null for "not given"', () => {
    assert.deepEqual(parseDerpMap({ Regions: { 1: null } }), { Regions: {} });
    assert.deepEqual(parseDerpMap({ Regions: null }), { Regions: {} });
    assert.deepEqual(parseDerpMap(mapOf({ nodes: [{ ...node, IPv4: null }] })).Regions['900']?.Nodes, [node]);
  });

  it('says where something is wrong', () => {
    const cases: [unknown, RegExp][] = [
      [null, /^the DERP map: this is not an object/],
      [{ Regions: [] }, /Regions is not an object/],
      [{ Regions: { 900: 5 } }, /^Regions\.900: this is not an object/],
      [{ Regions: { 900: {} } }, /^Regions\.900: RegionID is missing/],
      [mapOf({}, '901'), /^Regions\.901: RegionID is 900/],
      [mapOf({ nodes: {} }), /Nodes is not a list/],
      [mapOf({ nodes: [{ ...node, RegionID: 1 }] }), /^Regions\.900\.Nodes\[0\]: RegionID is 1/],
      [mapOf({ nodes: [{ ...node, HostName: '' }] }), /HostName is missing/],
      [mapOf({ nodes: [{ ...node, Name: 5 }] }), /Name is not a text/],
      [mapOf({ nodes: [{ ...node, DERPPort: 70_000 }] }), /DERPPort is not a whole number from 0 to 65535/],
      [mapOf({ nodes: [{ ...node, STUNOnly: 1 }] }), /STUNOnly is not true or false/],
      [mapOf({ nodes: [node, node] }), /two nodes have the Name "n"/],
    ];
    for (const [value, message] of cases) {
      assert.throws(() => parseDerpMap(value), { code: 'TOWPATH_DERP_MAP_INVALID', message });
    }
  });
});
