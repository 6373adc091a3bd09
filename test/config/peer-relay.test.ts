import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { PeerRelayConfig } from '../../src/config/schema/peer-relay.ts';
import { TowpathError } from '../../src/base/errors.ts';

const load = (peerRelay: object): PeerRelayConfig =>
  loadConfig({ values: { peerRelay }, env: {}, flags: {} }).config.peerRelay;
const problem = (peerRelay: object): string => {
  try {
    load(peerRelay);
  } catch (error) {
    if (error instanceof TowpathError) return error.message;
  }
  return 'none';
};
const home = { name: 'home', controlUrl: 'https://headscale.example.com', authKey: 'env:AUTH_KEY', hostname: 'relay' };

suite('peerRelay', () => {
  test('is off by default, and one tailnet is enough to turn it on', () => {
    assert.deepEqual(load({}).tailnets, []);
    const { ports, takenPorts, tailnets, limits } = load({ tailnets: [home] });
    assert.deepEqual(ports, [3478, 443, 40_000]);
    assert.equal(takenPorts, 'refuse');
    assert.deepEqual(tailnets, [{ ...home, tags: [], capabilityVersion: 131 }]);
    assert.equal(limits.idleSeconds, 3600);
  });

  test('takes STUN servers with and without a port', () => {
    const stunServers = ['stun.example.com', 'x:65535', 'x:6554', '192.0.2.1:3479', '[2001:db8::1]:3478'];
    assert.deepEqual(load({ advertise: { stunServers } }).advertise.stunServers, stunServers);
    for (const wrong of ['http://stun.example.com', 'a b', '2001:db8::1', 'x:0', 'x:65536', 'x:99999', '']) {
      assert.match(problem({ advertise: { stunServers: [wrong] } }), /HOST or HOST:PORT/, wrong);
    }
  });

  test('takes what the guide shows', () => {
    const config = load({
      ports: [3478, 443, 40_000],
      advertise: { addresses: ['203.0.113.7', 'relay.example.com'], only: false },
      stateDirectory: '/var/lib/towpath/peer-relay',
      tailnets: [home, { name: 'work', authKeyFile: '/etc/key', tags: ['tag:relay'] }],
    });
    assert.deepEqual(config.advertise, {
      addresses: ['203.0.113.7', 'relay.example.com'],
      only: false,
      portMapping: 'auto',
      stunServers: [],
    });
    assert.equal(config.tailnets[1]!.controlUrl, 'https://controlplane.tailscale.com');
  });

  test('says what is wrong', () => {
    assert.match(problem({ tailnets: [{ ...home, authKeyFile: '/etc/key' }] }), /authKeyFile: cannot be used together/);
    assert.match(problem({ tailnets: [{ ...home, name: undefined }] }), /name: is missing/);
    assert.match(problem({ tailnets: [home, { ...home, name: 'HOME' }] }), /HOME is taken/);
    // Its keys would be in the file of the endpoints, which the next start removes.
    assert.match(problem({ tailnets: [{ ...home, name: 'Endpoints' }] }), /name: found Endpoints; allowed: another/);
    assert.match(problem({ tailnets: [{ ...home, hostName: 'x' }] }), /did you mean hostname/);
    assert.match(problem({ tailnets: [{ ...home, tags: ['relay'] }] }), /tags such as tag:relay/);
    assert.match(problem({ tailnets: 'home' }), /a list of tailnets/);
    assert.match(problem({ ports: [3478, 3478] }), /different ports/);
    assert.match(problem({ ports: [] }), /different ports/);
    assert.match(problem({ ports: [70_000] }), /different ports/);
    assert.match(problem({ advertise: { only: true } }), /addresses is empty/);
    for (const address of ['0.0.0.0', '::', '224.0.0.1', 'ff02::1'])
      assert.match(
        problem({ advertise: { addresses: ['203.0.113.7', address] } }),
        /found .*reach this relay/,
        address,
      );
    for (const url of ['https://example.com/headscale', 'https://example.com/?a', 'https://example.com/#a'])
      assert.match(problem({ tailnets: [{ ...home, controlUrl: url }] }), /controlUrl: .*without a path/, url);
  });

  test('lets few endpoints be set alone', () => {
    assert.equal(load({ limits: { endpoints: 5 } }).limits.endpoints, 5);
  });

  test('never shows an auth key that was written in place of its variable', () => {
    const text = problem({ tailnets: [{ ...home, authKey: 'tskey-auth-secret' }] });
    assert.match(text, /authKey/);
    assert.doesNotMatch(text, /tskey-auth-secret/);
  });
});
