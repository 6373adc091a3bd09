import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  advertisedMap,
  validityNote,
  type AdvertisedConfig,
  type MapOverrides,
} from '../../src/derp-map/advertised-map.ts';
import type { CertificateInfo } from '../../src/certificates/source.ts';
import type { DerpNode } from '../../src/derp-map/derp-map.ts';

const CERTIFICATE: CertificateInfo = {
  names: ['relay.example.com', '*.relays.example.com'],
  notBefore: new Date(0),
  notAfter: new Date(1),
  pinSha256: 'ab'.repeat(32),
  selfSigned: true,
  next: null,
};
const CONFIG: AdvertisedConfig = {
  listen: [{ ip: '::', port: 443 }],
  http: [{ ip: '::', port: 80 }],
  stun: { listen: [{ ip: '::', port: 3478 }], generic: false, genericAnswersPerSecond: 1 },
  hostname: 'relay.example.com',
  publicIp: [],
  region: { id: 900, code: 'towpath', name: 'towpath', nodeName: '900a' },
};

function see(
  config: Partial<AdvertisedConfig>,
  certificate: Partial<CertificateInfo> = {},
  overrides: MapOverrides = {},
): { node: Partial<DerpNode>; notes: readonly string[]; comments: readonly string[] } {
  const made = advertisedMap({ ...CONFIG, ...config }, { ...CERTIFICATE, ...certificate }, overrides);
  return { node: made.map.Regions['900']!.Nodes[0] ?? {}, notes: made.notes, comments: made.comments };
}

describe('advertisedMap', () => {
  it('has the pin of a self-signed certificate, and none for one of an authority', () => {
    assert.equal(see({}).node.CertName, `sha256-raw:${'ab'.repeat(32)}`);
    assert.equal(see({}, { selfSigned: false }).node.CertName, undefined);
    assert.deepEqual(see({}).notes, []);
  });

  it('goes by the host name, or else the public address, or else the one listened on', () => {
    const publicIp = ['2001:db8::7', '203.0.113.7'];
    const { node } = see({ publicIp });
    assert.deepEqual([node.HostName, node.IPv4, node.IPv6], ['relay.example.com', '203.0.113.7', '2001:db8::7']);
    assert.equal(see({ hostname: undefined, publicIp }).node.HostName, '203.0.113.7');
    assert.equal(see({ hostname: undefined, publicIp: ['2001:db8::7'] }).node.HostName, '2001:db8::7');
    assert.equal(see({ hostname: undefined, listen: [{ ip: '192.0.2.1', port: 443 }] }).node.HostName, '192.0.2.1');
    assert.equal(see({ hostname: undefined }, {}, { ipv4: '192.0.2.2' }).node.HostName, '192.0.2.2');
  });

  it('says what is missing when nothing tells where the relay is', () => {
    const { node, notes } = see({ hostname: undefined });
    assert.equal(node.HostName, 'REPLACE-WITH-NAME-OR-IP');
    assert.match(notes[0] ?? '', /--hostname .* --public-ip/);
  });

  it('has the ports that clients see', () => {
    const behindNat = { listen: [{ ip: '::', port: 8443 }], derpPort: 443 };
    assert.equal(see({ listen: [{ ip: '::', port: 8443 }] }).node.DERPPort, 8443);
    assert.equal(see(behindNat).node.DERPPort, undefined);
    assert.equal(see({ stun: { ...CONFIG.stun, listen: [] } }).node.STUNPort, -1);
    assert.equal(see({ stun: { ...CONFIG.stun, advertisedPort: 3500 } }).node.STUNPort, 3500);
    assert.equal(see({}, {}, { stunPort: 3501 }).node.STUNPort, 3501);
    assert.equal(see({ publicIp: ['203.0.113.7'] }).node.CanPort80, true);
    assert.equal(see({ publicIp: ['203.0.113.7'], http: [{ ip: '::', port: 8080 }] }).node.CanPort80, undefined);
  });

  it('warns about a pinned certificate with others behind it: clients want exactly one', () => {
    assert.match(see({}, { behindLeaf: 1 }).notes.join(), /exactly one certificate/);
    assert.deepEqual(see({}, { behindLeaf: 1, selfSigned: false }).notes, []);
  });

  it('says when the certificate is not valid by the clock, which may be wrong', () => {
    const dates = { ...CERTIFICATE, notBefore: new Date(1000), notAfter: new Date(2000) };
    assert.match(validityNote(dates, 999) ?? '', /clock is before that/);
    assert.deepEqual([validityNote(dates, 1000), validityNote(dates, 1999)], [null, null]);
    assert.match(validityNote(dates, 2000) ?? '', /clock is after that/);
  });

  it('warns about a name that the certificate is not for', () => {
    const other = { hostname: 'other.example.com' };
    assert.match(
      see(other).notes[0] ?? '',
      /ask for other\.example\.com, but the certificate is for relay\.example\.com/,
    );
    assert.deepEqual(see({ hostname: 'a.relays.example.com' }, { selfSigned: false }).notes, []);
    assert.deepEqual(see({ hostname: '203.0.113.7' }).notes, []);
    assert.equal(see({ hostname: '203.0.113.7' }, { selfSigned: false }).notes.length, 1);
  });

  it('warns about an address of this machine only', () => {
    assert.match(see({ hostname: '127.0.0.1' }).notes[0] ?? '', /this machine itself/);
  });

  it('goes on with the pin in use while a change is announced, and names the next one', () => {
    const next = { pinSha256: 'cd'.repeat(32), from: new Date(Date.UTC(2027, 0, 2)) };
    const { node, comments } = see({}, { next });
    assert.equal(node.CertName, `sha256-raw:${'ab'.repeat(32)}`);
    assert.match(comments[0] ?? '', /on 2027-01-02T00:00:00\.000Z/);
    assert.match(comments[1] ?? '', /sha256-raw:(cd){32}/);
  });
});
