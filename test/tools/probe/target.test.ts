import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { targetOfUrl, targetsOfMap } from '../../../src/tools/probe/target.ts';
import { parseDerpMap } from '../../../src/derp-map/derp-map.ts';

const PIN = `sha256-raw:${'ab'.repeat(32)}`;

function nodeTarget(node: object, overrides = {}): ReturnType<typeof targetOfUrl> {
  const entry = { Name: 'n', RegionID: 1, HostName: 'relay.example.com', ...node };
  return targetsOfMap(parseDerpMap({ Regions: { 1: { RegionID: 1, Nodes: [entry] } } }), null, overrides)[0]!;
}

describe('targets of a URL', () => {
  it('a name', () => {
    assert.deepEqual(targetOfUrl('https://relay.example.com', {}), {
      name: 'relay.example.com:443',
      host: 'relay.example.com',
      ipv4: { kind: 'dns' },
      ipv6: { kind: 'dns' },
      relay: { url: 'https://relay.example.com/derp', port: 443, secure: true },
      serverName: 'relay.example.com',
      verify: { kind: 'ca', name: 'relay.example.com' },
      idealNode: '',
      stunPort: 3478,
      httpPort: null,
    });
  });

  it('an IPv6 address, a port and a path', () => {
    const target = targetOfUrl('http://[2001:db8::1]:3340/x?y', { stunPort: -1, httpPort: 8080 });
    assert.deepEqual(target.relay, { url: 'http://[2001:db8::1]:3340/x?y', port: 3340, secure: false });
    assert.deepEqual([target.ipv4, target.ipv6], [{ kind: 'off' }, { kind: 'ip', ip: '2001:db8::1' }]);
    assert.deepEqual([target.serverName, target.stunPort, target.httpPort], ['', null, 8080]);
    assert.equal(targetOfUrl('http://192.0.2.1/', {}).relay!.port, 80);
  });
});

describe('targets of a DERP map (§8.1)', () => {
  it('addresses: empty means DNS, an address itself, other text "not this family"', () => {
    const { ipv4, ipv6 } = nodeTarget({ IPv4: '192.0.2.1', IPv6: 'none' });
    assert.deepEqual([ipv4, ipv6], [{ kind: 'ip', ip: '192.0.2.1' }, { kind: 'off' }]);
    assert.deepEqual(nodeTarget({ IPv4: '2001:db8::1' }).ipv4, { kind: 'off' });
    assert.deepEqual(nodeTarget({}).ipv4, { kind: 'dns' });
    const literal = nodeTarget({ HostName: '2001:db8::1' });
    assert.deepEqual([literal.ipv4, literal.ipv6], [{ kind: 'off' }, { kind: 'ip', ip: '2001:db8::1' }]);
    assert.equal(literal.relay!.url, 'https://[2001:db8::1]/derp');
  });

  it('ports: 0 is the default, negative is no STUN', () => {
    const target = nodeTarget({ DERPPort: 0, STUNPort: 0 });
    assert.deepEqual([target.relay!.port, target.stunPort, target.httpPort], [443, 3478, null]);
    assert.equal(nodeTarget({ STUNPort: -1 }).stunPort, null);
    assert.equal(nodeTarget({ STUNPort: -1 }, { stunPort: 5 }).stunPort, 5);
    assert.equal(nodeTarget({ DERPPort: 8443 }).relay!.url, 'https://relay.example.com:8443/derp');
    assert.equal(nodeTarget({ CanPort80: true }).httpPort, 80);
    assert.equal(nodeTarget({ STUNOnly: true }).relay, null);
  });

  it('certificate: pin, other name, none for tests, authority', () => {
    assert.deepEqual(nodeTarget({ CertName: PIN, InsecureForTests: true }).verify, {
      kind: 'pin',
      sha256: 'ab'.repeat(32),
    });
    assert.deepEqual(nodeTarget({ CertName: 'other.example.com', InsecureForTests: true }, { caPem: 'x' }).verify, {
      kind: 'ca',
      name: 'other.example.com',
      caPem: 'x',
    });
    assert.deepEqual(nodeTarget({ InsecureForTests: true }).verify, { kind: 'none' });
    assert.deepEqual(nodeTarget({ InsecureForTests: true, CertName: 'relay.example.com' }).verify, { kind: 'none' });
    const capitals = `sha256-raw:${'AB'.repeat(32)}`;
    assert.deepEqual(nodeTarget({ CertName: capitals }).verify, { kind: 'pin', sha256: 'AB'.repeat(32) });
    assert.deepEqual(nodeTarget({ CertName: 'sha256-raw:ab' }).verify, { kind: 'pin', sha256: 'ab' });
    assert.deepEqual(nodeTarget({ HostName: '192.0.2.1' }).verify, { kind: 'ca', name: '' });
    assert.equal(nodeTarget({ HostName: 'relay.example.com.' }).serverName, 'relay.example.com');
    assert.deepEqual(nodeTarget({}).verify, { kind: 'ca', name: 'relay.example.com' });
    assert.deepEqual(nodeTarget({ CertName: PIN }, { verify: { kind: 'none' } }).verify, { kind: 'none' });
  });

  it('the ideal node is the first that serves DERP, and named to all others', () => {
    const node = (Name: string, more = {}): object => ({ Name, RegionID: 7, HostName: 'h', ...more });
    const nodes = [node('7s', { STUNOnly: true }), node('7a'), node('7b')];
    const map = parseDerpMap({
      Regions: { 7: { RegionID: 7, RegionCode: 'seven', Nodes: nodes }, 8: { RegionID: 8, Nodes: [] } },
    });
    const named = (region: string | null): string[][] =>
      targetsOfMap(map, region, {}).map(({ name, idealNode }) => [name, idealNode]);
    const all = [
      ['7s', '7a'],
      ['7a', ''],
      ['7b', '7a'],
    ];
    assert.deepEqual(named(null), all);
    assert.deepEqual(named('7'), all);
    assert.deepEqual(named('seven'), all);
    assert.deepEqual(named('8'), []);
  });
});
