import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { printableString, sequence } from '../../../src/certificates/x509/der.ts';
import {
  isMetaCertificate,
  makeMetaCertificate,
  readMetaCertificate,
} from '../../../src/certificates/x509/meta-certificate.ts';
import { commonName, extension, selfSign } from '../../../src/certificates/x509/x509.ts';
import { see } from '../x509-oracle.ts';

const HEX_KEY = '7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13';
const KEY = Buffer.from(HEX_KEY, 'hex');
const NOW = Date.UTC(2026, 10, 24, 12);
const DAY_MS = 86_400_000;

function derNamed(name: string, serial: Uint8Array): Buffer {
  const { privateKey } = generateKeyPairSync('ed25519');
  const [notBefore, notAfter] = [new Date(NOW), new Date(NOW + DAY_MS)];
  const fields = { serial, name: commonName(printableString(name)), notBefore, notAfter };
  return selfSign({ ...fields, extensions: [extension('2.5.29.19', true, sequence())] }, privateKey);
}

describe('makeMetaCertificate', () => {
  const pemText = makeMetaCertificate(KEY, NOW);
  const certificate = new X509Certificate(pemText);

  it('statement 65: serial 2, CN derpkey + hex, one extension, BasicConstraints', () => {
    assert.equal(certificate.serialNumber, '02');
    assert.equal(certificate.subject, `CN=derpkey${HEX_KEY}`);
    assert.equal(certificate.issuer, certificate.subject);
    assert.equal(certificate.ca, false);
    const seen = see(pemText);
    assert.deepEqual([seen.serial, seen.signatureAlgorithm, seen.isAuthority], ['02', 'Ed25519', false]);
    assert.deepEqual(seen.extensions, [{ oid: '2.5.29.19', critical: true }]);
  });

  it('has the bytes of §10.6', () => {
    const raw = certificate.raw.toString('hex');
    const name = `30523150304e06035504031347${Buffer.from(`derpkey${HEX_KEY}`).toString('hex')}`;
    assert.equal(raw.split(name).length - 1, 2);
    assert.ok(raw.includes('300c0603551d130101ff04023000'));
    assert.equal(raw.split('300506032b6570').length - 1, 3);
  });

  it('is valid for 30 days before and after it was made, and signed by itself', () => {
    assert.equal(certificate.validFromDate.getTime(), NOW - 30 * DAY_MS);
    assert.equal(certificate.validToDate.getTime(), NOW + 30 * DAY_MS);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(isMetaCertificate(certificate));
  });
});

describe('readMetaCertificate', () => {
  const meta = new X509Certificate(makeMetaCertificate(KEY, NOW)).raw;
  const leaf = derNamed('relay.example', Uint8Array.of(2));

  it('§1.5 step 2: finds the key and the version anywhere in the chain', () => {
    assert.deepEqual(readMetaCertificate([leaf, meta]), { serverKey: KEY, version: 2 });
    assert.deepEqual(readMetaCertificate([meta, leaf]), { serverKey: KEY, version: 2 });
  });

  it('takes hex digits of either case', () => {
    const upper = derNamed(`derpkey${HEX_KEY.toUpperCase()}`, Uint8Array.of(7));
    assert.deepEqual(readMetaCertificate([upper]), { serverKey: KEY, version: 7 });
  });

  it('takes a serial of eight bits and passes over a longer one', () => {
    assert.equal(readMetaCertificate([derNamed(`derpkey${HEX_KEY}`, Uint8Array.of(255))])?.version, 255);
    const long = derNamed(`derpkey${HEX_KEY}`, Uint8Array.of(1, 0));
    assert.equal(readMetaCertificate([long]), null);
    assert.equal(readMetaCertificate([long, meta])?.version, 2);
  });

  it('passes over names that are not a key', () => {
    for (const name of ['derpkey', `derpkey${HEX_KEY}0`, `derpkey${HEX_KEY.slice(2)}zz`, `xderpkey${HEX_KEY}`]) {
      assert.equal(readMetaCertificate([derNamed(name, Uint8Array.of(2))]), null, name);
    }
  });

  it('§1.5 step 3: no fast start with a zero key or version 0', () => {
    assert.equal(readMetaCertificate([derNamed(`derpkey${'0'.repeat(64)}`, Uint8Array.of(2)), meta]), null);
    assert.equal(readMetaCertificate([derNamed(`derpkey${HEX_KEY}`, Uint8Array.of(0)), meta]), null);
  });

  it('survives garbage', () => {
    assert.equal(readMetaCertificate([]), null);
    assert.equal(readMetaCertificate([Buffer.alloc(0), Buffer.from('3080', 'hex'), Buffer.alloc(2000, 0x30)]), null);
    for (let cut = 0; cut < meta.length; cut += 7) assert.equal(readMetaCertificate([meta.subarray(0, cut)]), null);
    assert.equal(readMetaCertificate([Buffer.from('junk'), meta])?.version, 2);
  });
});
