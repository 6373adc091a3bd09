import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import { canonicalNames, derperPaths, isWildcard, selfSignedNames } from '../../src/certificates/names.ts';
import { covers, describe as facts } from '../../src/certificates/read.ts';
import { DAY_MS, START } from './support.ts';
import { DIGITAL_SIGNATURE, see, SERVER_AUTH } from './x509-oracle.ts';

const key = generateCertificateKey();
const dates = { notBefore: new Date(START), notAfter: new Date(START + 400 * DAY_MS) };

function make(...names: string[]): X509Certificate {
  return new X509Certificate(makeSelfSigned({ names, ...dates }, key));
}

describe('makeSelfSigned (§7.3)', () => {
  it('is an ECDSA P-256 server certificate, and no authority', () => {
    const pemText = makeSelfSigned({ names: ['203.0.113.7'], ...dates }, key);
    const seen = see(pemText);
    assert.equal(seen.signatureAlgorithm, 'ECDSA');
    assert.equal(new X509Certificate(pemText).publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    assert.deepEqual([seen.keyUsages, seen.extendedKeyUsages], [DIGITAL_SIGNATURE, [SERVER_AUTH]]);
    assert.equal(seen.isAuthority, false);
    assert.deepEqual(seen.names, [{ type: 'ip', value: '203.0.113.7' }]);
    const certificate = new X509Certificate(pemText);
    assert.equal(certificate.subject, 'CN=203.0.113.7');
    assert.ok(certificate.checkPrivateKey(key));
    assert.deepEqual([certificate.validFromDate, certificate.validToDate], [dates.notBefore, dates.notAfter]);
    assert.match(formatCertificateKey(key), /^-----BEGIN EC PRIVATE KEY-----/);
    assert.notEqual(make('203.0.113.7').serialNumber, certificate.serialNumber);
  });

  it('is for every name, whatever its kind', () => {
    const names = ['relay.example.com', '203.0.113.7', '2001:db8::7'];
    const certificate = make(...names);
    assert.deepEqual(facts(certificate).names, names);
    assert.ok(facts(certificate).selfSigned);
    for (const name of names) assert.ok(covers(certificate, name), name);
    for (const name of ['example.com', '203.0.113.8', '2001:db8::8']) assert.ok(!covers(certificate, name), name);
  });

  it('has no common name when that would be too long or look like a meta-certificate', () => {
    for (const name of [`${'a'.repeat(60)}.example.com`, 'derpkey.example.com']) {
      const pemText = makeSelfSigned({ names: [name], ...dates }, key);
      const { subject, extensions } = see(pemText);
      assert.equal(subject, '');
      assert.equal(
        extensions.find(({ oid }) => oid === '2.5.29.17')?.critical,
        true,
        'without a subject the names are critical',
      );
      assert.deepEqual(facts(new X509Certificate(pemText)).names, [name]);
    }
  });

  it('may end after 2049', () => {
    const notAfter = new Date(Date.UTC(2051, 0, 2, 3, 4, 5));
    const certificate = new X509Certificate(makeSelfSigned({ names: ['a.example'], ...dates, notAfter }, key));
    assert.deepEqual(certificate.validToDate, notAfter);
  });
});

describe('names', () => {
  it('are spelled one way, without doubles', () => {
    const names = ['Relay.Example.com.', 'relay.example.com', '[2001:DB8:0::7]', '2001:db8::7', 'bücher.example'];
    assert.deepEqual(canonicalNames(names), ['relay.example.com', '2001:db8::7', 'xn--bcher-kva.example']);
    assert.throws(() => canonicalNames(['a b']), { code: 'TOWPATH_CERTIFICATE_NAME' });
  });

  it('come from the configuration, or the addresses listened on, or stay the same at least', () => {
    assert.deepEqual(selfSignedNames(['a.example'], ['192.0.2.1']), ['a.example']);
    assert.deepEqual(selfSignedNames([], ['::', '192.0.2.1', '0.0.0.0']), ['192.0.2.1']);
    assert.deepEqual(selfSignedNames([], ['::']), ['towpath']);
    assert.deepEqual(['::', '0.0.0.0', '::1', 'a.example'].map(isWildcard), [true, true, false, false]);
  });

  it("become derper's file names", () => {
    const { certPath, keyPath } = derperPaths('/c', '2001:db8::7');
    assert.deepEqual([certPath, keyPath], ['/c/2001db87.crt', '/c/2001db87.key']);
    assert.equal(derperPaths('/c', '../../etc/x').certPath, '/c/....etcx.crt');
  });
});
