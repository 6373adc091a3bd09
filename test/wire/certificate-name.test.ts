import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { alternativeNames, nameProblem } from '../../src/wire/certificate-name.ts';

/** Makes a certificate that has only names. */
function named(subjectAltName: string | undefined): { subjectAltName: string | undefined } {
  return { subjectAltName };
}

// test/interop/verdicts compares the whole check with the official client.
describe('nameProblem, as VerifyHostname of Go', () => {
  it('takes names in any case, whole first labels for wildcards, and IPs in any spelling', () => {
    const leaf = named(
      'DNS:relay.example.com, DNS:*.Example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:7',
    );
    for (const name of ['relay.example.com', 'RELAY.example.com.', 'a.example.org', '192.0.2.1', '2001:db8::7'])
      assert.equal(nameProblem(leaf, name), null, name);
    for (const name of ['example.org', 'a.b.example.org', 'x.example.com', '192.0.2.2', '', '.'])
      assert.notEqual(nameProblem(leaf, name), null, name);
    assert.equal(nameProblem(leaf, 'x'), 'is for relay.example.com, *.Example.org, 192.0.2.1, 2001:db8::7, not for x');
  });

  it('says what is missing', () => {
    assert.match(nameProblem(named(undefined), 'a.test') ?? '', /has no subject alternative name, .* common name/);
    assert.match(nameProblem(named('DNS:a.test'), '192.0.2.1') ?? '', /has no IP address among its alternative names/);
    const many = Array.from({ length: 30 }, (_, at) => `DNS:h${at}.test`).join(', ');
    assert.match(nameProblem(named(many), 'a.test') ?? '', /h4\.test and 25 more, not for a\.test$/);
  });

  it('is not taken in by a name that holds another entry', () => {
    const leaf = named('DNS:"evil.test, DNS:good.test, IP Address:192.0.2.1, x", DNS:own.test, URI:"a\\"b"');
    assert.deepEqual(alternativeNames(leaf), { dns: ['own.test'], ips: [] });
    assert.notEqual(nameProblem(leaf, 'good.test'), null);
    for (const odd of ['', 'DNS:', '"', 'DNS:"', 'x', ', ', 'DNS:"\\']) alternativeNames(named(odd));
  });
});
