import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { BootstrapDns, type NameResolver } from '../../src/http/bootstrap-dns.ts';
import { isRolledOutTo, rolloutValue } from '../../src/http/rollout.ts';
import { Counters } from '../../src/observe/counters.ts';

/** Answers from a table; a missing name does not resolve. */
class TableResolver implements NameResolver {
  readonly table: Record<string, string[]>;
  cancelled = 0;
  lookups = 0;

  constructor(table: Record<string, string[]>) {
    this.table = table;
  }

  addresses(name: string): Promise<string[]> {
    this.lookups += 1;
    const found = this.table[name];
    return found === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(found);
  }

  texts(name: string): Promise<string[]> {
    return this.addresses(name);
  }

  cancel(): void {
    this.cancelled += 1;
  }
}

function setUp(table: Record<string, string[]>, published: string[], unpublished: string[] = []) {
  const counters = new Counters();
  const clock = new Clock();
  const resolver = new TableResolver(table);
  const dns = new BootstrapDns({ published, unpublished, counters, clock, resolver });
  const answer = (q: string | null, ip = '192.0.2.1'): unknown => {
    const text = dns.answer(q, ip).toString();
    return text === '' ? '' : JSON.parse(text);
  };
  return { counters, clock, resolver, dns, answer };
}

describe('bootstrap DNS', () => {
  it('is empty before names are resolved, and lists what resolves, sorted', async () => {
    const { dns, answer } = setUp({ 'b.example': ['192.0.2.2'], 'a.example': ['2001:db8::1'] }, [
      'b.example',
      'a.example',
      'c.example',
    ]);
    assert.equal(answer(null), '');
    await dns.refresh();
    assert.deepEqual(Object.entries(answer(null) as object), [
      ['a.example', ['2001:db8::1']],
      ['b.example', ['192.0.2.2']],
    ]);
  });

  it('shuffles addresses', async () => {
    const all = Array.from({ length: 20 }, (_, i) => `192.0.2.${i}`);
    const { dns, answer } = setUp({ 'a.example': all }, ['a.example']);
    await dns.refresh();
    const got = (answer(null) as Record<string, string[]>)['a.example']!;
    assert.notDeepEqual(got, all);
    assert.deepEqual(got.toSorted(), all.toSorted());
  });

  it('§9.74 counts hits and misses; an empty address list is a miss and returns the published set', async () => {
    const table = {
      'pub.example': ['192.0.2.1'],
      'none.example': [],
      'hid.example': ['192.0.2.3'],
      'empty.example': [],
    };
    const { dns, answer, counters } = setUp(table, ['pub.example', 'none.example'], ['hid.example', 'empty.example']);
    await dns.refresh();
    const published = { 'pub.example': ['192.0.2.1'], 'none.example': [] };
    assert.deepEqual(answer('hid.example'), { 'hid.example': ['192.0.2.3'] });
    for (const q of ['pub.example', 'none.example', 'empty.example', 'other.example', '__proto__', null, '']) {
      assert.deepEqual(answer(q), published, String(q));
    }
    assert.equal(counters.bootstrapDnsRequests, 8);
    assert.equal(counters.bootstrapDnsUnpublishedHits, 1);
    assert.equal(counters.bootstrapDnsPublishedHits, 1);
    assert.equal(counters.bootstrapDnsPublishedMisses, 1);
    assert.equal(counters.bootstrapDnsUnpublishedMisses, 3);
    const before: number = dns.queriedNames;
    assert.equal(before, 6);

    for (let i = 0; i < 600; i++) dns.answer(`n${i}`, '192.0.2.1');
    const after: number = dns.queriedNames;
    assert.ok(after <= 500);
  });

  it('rolls a name out to the percentage in its TXT record; missing or bad means nobody', async () => {
    const table: Record<string, string[]> = { 'txt50.example': ['50'], 'txtbad.example': ['101', 'x', '-1', '5 '] };
    for (const name of ['h1', 'h2', 'h3']) table[`${name}.example`] = ['192.0.2.3'];
    const unpublished = ['h1.example/txt50.example', 'h2.example/txtbad.example', 'h3.example/gone.example'];
    const { dns, answer, counters } = setUp(table, [], unpublished);
    await dns.refresh();
    assert.deepEqual(answer('h1.example', '1.2.3.4'), { 'h1.example': ['192.0.2.3'] });
    assert.equal(answer('h1.example', '1.2.3.6'), '');
    assert.equal(answer('h2.example', '1.2.3.4'), '');
    assert.equal(answer('h3.example', '1.2.3.4'), '');
    assert.equal(counters.bootstrapDnsUnpublishedPercentMisses, 3);
  });

  it('refreshes on the clock, and cancels lookups that take longer than a minute', async () => {
    const { dns, clock, resolver } = setUp({ 'a.example': ['192.0.2.1'] }, ['a.example']);
    clock.tick(1000);
    await dns.start();
    assert.equal(resolver.lookups, 1);
    clock.tick(1000 + 599_900);
    assert.equal(resolver.lookups, 1);
    clock.tick(1000 + 600_000);
    assert.equal(resolver.lookups, 2);
    clock.tick(1000 + 660_000);
    assert.equal(resolver.cancelled, 1);
    dns.stop();
    assert.equal(resolver.cancelled, 2);
    clock.tick(9e9);
    assert.equal(resolver.lookups, 2);
  });

  it('without names does nothing', async () => {
    const { dns, clock, resolver } = setUp({}, []);
    await dns.start();
    clock.tick(9e9);
    assert.ok(!dns.configured);
    assert.equal(resolver.lookups, 0);
  });
});

describe('rollout percentage', () => {
  const value = (ip: string): number => rolloutValue(Buffer.from(ip.split('.').map(Number)));

  it('§9.75 gives the values of §10.7', () => {
    const expected: Record<string, string> = {
      '1.2.3.4': '0.06866',
      '1.2.3.5': '0.01746',
      '1.2.3.6': '0.85826',
      '1.2.3.7': '0.40655',
      '1.2.3.8': '0.84676',
      '1.2.3.9': '0.01121',
      '1.2.3.10': '0.29413',
    };
    for (const [ip, text] of Object.entries(expected)) {
      assert.equal(value(ip).toFixed(5), text);
      assert.equal(isRolledOutTo(ip, 0.5), Number(text) < 0.5);
      assert.equal(isRolledOutTo(`::ffff:${ip}`, 0.5), Number(text) < 0.5);
    }
  });

  it('§9.75 matches 50 % ± 0.5 % of 65 536 addresses', () => {
    let matches = 0;
    for (let i = 0; i < 65_536; i++) if (isRolledOutTo(`203.0.${i >> 8}.${i & 255}`, 0.5)) matches += 1;
    assert.ok(Math.abs(matches / 65_536 - 0.5) <= 0.005, String(matches));
  });

  it('0 is nobody, 1 is everybody, no address is nobody, loopback is a coin toss', () => {
    assert.ok(!isRolledOutTo('1.2.3.9', 0));
    assert.ok(isRolledOutTo('nonsense', 1));
    assert.ok(!isRolledOutTo('nonsense', 0.99));
    for (const ip of ['127.0.0.1', '::1']) {
      assert.ok(isRolledOutTo(ip, 0.01, () => 0.4));
      assert.ok(!isRolledOutTo(ip, 0.99, () => 0.6));
    }
  });
});
