import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { findTargets, MOST_ADDRESSES, type Resolver, type SiblingSettings } from '../../../src/relay/mesh/addresses.ts';

const RESOLVER: Resolver = {
  addresses: (host) =>
    host === 'relays.internal'
      ? Promise.resolve(['10.0.0.1', '2001:db8::1'])
      : host === 'b.internal'
        ? Promise.resolve(['10.0.0.2'])
        : Promise.reject(new Error(`not found: ${host}`)),
  services: () =>
    Promise.resolve([
      { host: 'relays.internal', port: 8443 },
      { host: '192.0.2.9', port: 9443 },
    ]),
};

function entry(changes: Partial<SiblingSettings>): SiblingSettings {
  return { name: 'entry', host: 'relays.internal', port: null, isSecure: true, pin: null, ...changes };
}

suite('addresses of other relays', () => {
  test('a name stands for all of its addresses, and its certificate is for the name', async () => {
    const { targets } = await findTargets(entry({}), 'PEM', RESOLVER);
    assert.deepEqual(
      targets.map(({ address, url, ip, serverName }) => [address, url, ip, serverName]),
      [
        ['10.0.0.1:443', 'https://relays.internal:443/derp', '10.0.0.1', 'relays.internal'],
        ['[2001:db8::1]:443', 'https://relays.internal:443/derp', '2001:db8::1', 'relays.internal'],
      ],
    );
    assert.deepEqual(targets[0]!.verify, { kind: 'ca', name: 'relays.internal', caPem: 'PEM' });
  });

  test('an SRV record gives hosts and ports', async () => {
    const { targets } = await findTargets(entry({ host: '_derp._tcp.internal' }), null, RESOLVER);
    assert.deepEqual(
      targets.map(({ address }) => address),
      ['10.0.0.1:8443', '[2001:db8::1]:8443', '192.0.2.9:9443'],
    );
  });

  test('an address is looked up nowhere; a pin is what counts; without TLS the port is 80', async () => {
    const { targets } = await findTargets(entry({ host: '2001:db8::7', pin: 'ab' }), null, RESOLVER);
    const [pinned] = targets;
    assert.deepEqual([pinned!.address, pinned!.serverName], ['[2001:db8::7]:443', '']);
    assert.deepEqual(pinned!.verify, { kind: 'pin', sha256: 'ab' });
    const plain = await findTargets(entry({ host: 'b.internal', isSecure: false }), null, RESOLVER);
    assert.equal(plain.targets[0]!.url, 'http://b.internal:80/derp');
  });

  test('a name that is not found is an error', async () => {
    await assert.rejects(findTargets(entry({ host: 'gone.internal' }), null, RESOLVER), /not found: gone/);
  });

  test('of ten thousand addresses the same few are used, in whatever order they come, and it is said', async () => {
    const all = Array.from({ length: 10_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    const answers = [all, all.toReversed(), [...all.slice(5000), ...all.slice(0, 5000)]];
    const found = await Promise.all(
      answers.map((answer) =>
        findTargets(entry({}), null, { ...RESOLVER, addresses: () => Promise.resolve(answer.concat(answer)) }),
      ),
    );
    for (const { targets, unused } of found) {
      assert.deepEqual(
        targets.map(({ address }) => address),
        found[0]!.targets.map(({ address }) => address),
      );
      assert.equal(targets.length, MOST_ADDRESSES);
      assert.match(unused, /10000 addresses, of which 64 are used/);
    }
  });

  test('of an SRV record with many hosts few are looked up; one that is not found, or that is itself, costs no other', async () => {
    const asked: string[] = [];
    const services = [
      ...Array.from({ length: 2000 }, (_, i) => ({ host: `h${i}.internal`, port: 443 })),
      { host: '_derp._tcp.internal', port: 0 },
      { host: 'b.internal', port: 443 },
    ];
    const resolver: Resolver = {
      services: () => Promise.resolve(services),
      addresses: (host) => {
        asked.push(host);
        return RESOLVER.addresses(host);
      },
    };
    const { targets, unused } = await findTargets(entry({ host: '_derp._tcp.internal' }), null, resolver);
    assert.deepEqual(
      targets.map(({ address }) => address),
      ['10.0.0.2:443'],
    );
    assert.equal(asked.length, MOST_ADDRESSES);
    assert.match(unused, /not found: _derp\._tcp\.internal/);
  });
});
