import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AdvertisedAddresses, type AdvertisedParts } from '../../../src/service/peer-relay/advertised-addresses.ts';
import { formatHostPort } from '../../../src/base/ip-address.ts';

function advertised(parts: Partial<AdvertisedParts> = {}): { found: AdvertisedAddresses; problems: string[] } {
  const problems: string[] = [];
  const found = new AdvertisedAddresses({
    configured: [],
    only: false,
    ports: () => [3478],
    interfaces: () => [],
    resolve: () => Promise.reject(new Error('no such name')),
    onProblem: (name) => problems.push(name),
    ...parts,
  });
  return { found, problems };
}

/** What the relay does at its start. */
async function search(found: AdvertisedAddresses, now?: number): Promise<void> {
  found.readInterfaces(now);
  await found.resolveNames(now);
}

const listOf = (addresses: AdvertisedAddresses): string[] =>
  addresses.addresses.map(({ ip, port }) => formatHostPort(ip, port));

suite('addresses that clients are told (peer relay §8)', () => {
  test('are those configured and then those of the machine, each once, the first port first', async () => {
    const { found } = advertised({
      configured: ['203.0.113.7', 'relay.example.com'],
      ports: () => [3478, 443],
      interfaces: () => ['10.0.0.1', '203.0.113.7', '127.0.0.1', 'fe80::1', '100.64.0.1'],
      resolve: () => Promise.resolve(['2001:DB8::1', '203.0.113.7', '127.0.1.1']),
    });
    assert.deepEqual(listOf(found), []);
    await search(found, 5);
    assert.deepEqual(listOf(found), [
      '203.0.113.7:3478',
      '[2001:db8::1]:3478',
      '10.0.0.1:3478',
      '203.0.113.7:443',
      '[2001:db8::1]:443',
      '10.0.0.1:443',
    ]);
    assert.equal(found.foundAt, 5);
  });

  test('are those configured alone when that is wanted', async () => {
    const { found } = advertised({ configured: ['127.0.0.1'], only: true, interfaces: () => ['10.0.0.1'] });
    await search(found);
    assert.deepEqual(listOf(found), ['127.0.0.1:3478']);
  });

  test('stay when a name cannot be resolved any more (peer relay §19.19)', async () => {
    let answers: readonly string[] | null = ['203.0.113.7'];
    const resolve = () => (answers === null ? Promise.reject(new Error('SERVFAIL')) : Promise.resolve(answers));
    const { found, problems } = advertised({ configured: ['relay.example.com'], resolve });
    await search(found, 1);
    answers = null;
    await search(found, 2);
    assert.deepEqual(listOf(found), ['203.0.113.7:3478']);
    assert.equal(found.foundAt, 1);
    assert.deepEqual(problems, ['relay.example.com']);
    answers = ['203.0.113.8'];
    await search(found, 3);
    assert.deepEqual(listOf(found), ['203.0.113.8:3478']);
    assert.equal(found.foundAt, 3);
  });

  test('of a name that leads only to the machine itself are a problem, told once', async () => {
    const { found, problems } = advertised({ configured: ['relay'], resolve: () => Promise.resolve(['127.0.1.1']) });
    for (let i = 0; i < 3; i++) await search(found);
    assert.equal(found.hasNames, false);
    assert.match(found.sources[0]!.problem!, /relay cannot be resolved: clients cannot reach 127\.0\.1\.1/);
    assert.deepEqual(problems, ['relay']);
  });

  test('of the machine stay while it has none or does not list them, and follow when they change', async () => {
    let machine: (() => string[]) | null = () => ['10.0.0.1', '127.0.0.1'];
    const interfaces = (): string[] => {
      if (machine === null) throw new Error('Unknown system error 97');
      return machine();
    };
    const { found } = advertised({ interfaces });
    const problem = (): string | null => found.sources.at(-1)!.problem;
    await search(found);
    assert.deepEqual([listOf(found), problem()], [['10.0.0.1:3478'], null]);
    machine = () => ['127.0.0.1'];
    assert.equal(found.readInterfaces(), false);
    assert.deepEqual(
      [listOf(found), problem()],
      [['10.0.0.1:3478'], 'this machine has no address that clients can reach'],
    );
    machine = null;
    await search(found);
    assert.deepEqual(listOf(found), ['10.0.0.1:3478']);
    assert.match(problem()!, /cannot be listed: Unknown system error 97/);
    machine = () => ['10.0.0.2'];
    assert.equal(found.readInterfaces(), true);
    assert.deepEqual([listOf(found), problem()], [['10.0.0.2:3478'], null]);
  });

  test('of STUN and of a port mapping come before those of the machine, with the ports that they tell', async () => {
    const { found } = advertised({ ports: () => [3478, 443], interfaces: () => ['10.0.0.1'] });
    await search(found);
    found.setFound('STUN', [
      { localPort: 443, ip: '203.0.113.7', port: 50_443 },
      { localPort: 3478, ip: '203.0.113.7', port: 3478 },
      { localPort: 3478, ip: '127.0.0.1', port: 1 },
    ]);
    found.setFound('port mapping', [{ localPort: 443, ip: '203.0.113.7', port: 443 }]);
    assert.deepEqual(listOf(found), [
      '203.0.113.7:3478',
      '10.0.0.1:3478',
      '203.0.113.7:443',
      '203.0.113.7:50443',
      '10.0.0.1:443',
    ]);
  });

  test('of STUN are left out when they are not the address of one machine', () => {
    const { found } = advertised();
    const ips = ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'ff02::1', 'nonsense'];
    const forged = ips.map((ip) => ({ localPort: 3478, ip, port: 3478 }));
    found.setFound('STUN', [...forged, { localPort: 3478, ip: '203.0.113.7', port: 0 }]);
    assert.deepEqual(listOf(found), []);
    found.setFound('STUN', [...forged, { localPort: 3478, ip: '2001:db8::7', port: 3478 }]);
    assert.deepEqual(listOf(found), ['[2001:db8::7]:3478']);
  });

  test('of STUN stay when a round fails, with their age and the reason (peer relay §19.19)', () => {
    const { found } = advertised();
    const addresses = [{ ip: '203.0.113.7', port: 3478 }];
    const stun = (): unknown => found.sources.find(({ name }) => name === 'STUN');
    found.setFound('STUN', [{ localPort: 3478, ...addresses[0]! }], null, 5);
    found.setFound('STUN', new Error('no answer'), null, 9);
    assert.deepEqual(listOf(found), ['203.0.113.7:3478']);
    assert.deepEqual(stun(), { name: 'STUN', addresses, how: null, foundAt: 5, problem: 'no answer' });
    found.setFound('STUN', [], null, 12);
    assert.deepEqual(stun(), { name: 'STUN', addresses: [], how: null, foundAt: 12, problem: null });
  });

  test('name every port before another address when there are more than eight', async () => {
    const interfaces = (): string[] => ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
    const { found } = advertised({ ports: () => [1, 2, 3], interfaces });
    await search(found);
    const list = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1', '10.0.0.1:2', '10.0.0.2:2', '10.0.0.3:2', '10.0.0.1:3'];
    assert.deepEqual(listOf(found), [...list, '10.0.0.2:3']);
  });

  test('are at most eight', async () => {
    const interfaces = (): string[] => Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}`);
    const { found } = advertised({ interfaces });
    await search(found);
    assert.equal(found.addresses.length, 8);
  });
});
