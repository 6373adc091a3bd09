import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AcmeFailure } from '../../src/certificates/acme/failure.ts';
import { Site } from './acme-site.ts';
import { DAY_MS, scratch } from './support.ts';

const HOUR_MS = 3_600_000;

describe('a certificate from an authority', () => {
  const folder = scratch();
  let n = 0;
  const fresh = (): string => `${folder.path}/${n++}`;

  it('is obtained, replaces the temporary one, and is told to listeners', async () => {
    const site = new Site(fresh());
    const before = site.source.current().certPem;
    assert.equal(site.source.info().provisional, true);
    assert.match(site.health.get('certificate') ?? '', /has not issued a certificate yet/);
    const heard: string[] = [];
    site.source.onChange(({ certPem }) => heard.push(certPem));
    await site.pass(1000);
    assert.equal(heard.length, 1);
    assert.notEqual(site.source.current().certPem, before);
    assert.equal(site.source.info().provisional, undefined);
    assert.equal(site.health.size, 0);
    assert.deepEqual(site.authority.answered, ['tls-alpn-01']);
    site.source.stop();
  });

  it('answers acme-tls/1 only where it may be asked for that', () => {
    for (const challenges of ['http-01', 'http-01,tls-alpn-01']) {
      const { source } = new Site(fresh(), null, 'acme', undefined, { 'certificate.acme.challenges': challenges });
      assert.equal(source.challenges?.alpnCertificate !== undefined, challenges.includes('tls-alpn-01'));
      source.stop();
    }
  });

  it('is renewed at two thirds, once, and not before', async () => {
    const site = new Site(fresh());
    await site.pass(1000);
    await site.pass(55 * DAY_MS);
    assert.equal(site.authority.orders, 1);
    await site.pass(6 * DAY_MS);
    await site.pass(DAY_MS);
    assert.equal(site.authority.orders, 2);
    site.source.stop();
  });

  it('that cannot be renewed fails readiness half way to its end, with the reason, and is well again after', async () => {
    const site = new Site(fresh());
    await site.pass(1000);
    site.authority.failure = new AcmeFailure('refused', 'a CAA record forbids it');
    for (let day = 0; day < 70; day++) await site.pass(DAY_MS);
    assert.ok(site.authority.orders > 1);
    assert.equal(site.health.size, 0, '20 days are left');
    for (let day = 70; day < 77; day++) await site.pass(DAY_MS);
    assert.match(site.health.get('certificate') ?? '', /cannot be renewed: a CAA record forbids it/);
    site.authority.failure = null;
    await site.pass(DAY_MS);
    assert.equal(site.health.size, 0);
    site.source.stop();
  });

  it('waits after failures, also after a restart, and tries the other challenge', async () => {
    const place = fresh();
    const site = new Site(place);
    site.authority.failure = new AcmeFailure('refused', 'no');
    await site.pass(1000);
    await site.pass(4 * 60_000);
    assert.equal(site.authority.orders, 1);
    site.source.stop();
    const again = new Site(place, site.world.wall);
    assert.match(again.world.said().join('\n'), /failed before this start/);
    await again.pass(1000);
    assert.equal(again.authority.orders, 0);
    await again.pass(60_000);
    assert.deepEqual(again.authority.answered, ['http-01']);
    assert.equal(again.source.info().provisional, undefined);
    again.source.stop();
  });

  it('is tried within a week even when the clock was a year ahead at the failure', async () => {
    const place = fresh();
    const ahead = new Site(place);
    const { wall } = ahead.world;
    ahead.world.wall += 365 * DAY_MS;
    ahead.authority.failure = new AcmeFailure('refused', 'no');
    await ahead.pass(1000);
    ahead.source.stop();
    const right = new Site(place, wall);
    for (let day = 0; day < 8; day++) await right.pass(DAY_MS);
    assert.equal(right.source.info().provisional, undefined);
    right.source.stop();
  });

  it('in mode auto is chosen when it works, and stays chosen', async () => {
    const place = fresh();
    const site = new Site(place, null, 'auto');
    assert.equal(site.source.info().provisional, true);
    await site.pass(1000);
    assert.match(site.source.info().origin ?? '', /from /);
    assert.match(site.world.said().join('\n'), /auto: a certificate authority is used/);
    site.source.stop();
    const again = new Site(place, site.world.wall + HOUR_MS, 'auto');
    assert.match(again.source.info().origin ?? '', /from /);
    again.source.stop();
  });

  it('in mode auto gives way to a self-signed one that is ready, with the reason', async () => {
    const place = fresh();
    const site = new Site(place, null, 'auto');
    const before = site.source.info().pinSha256;
    site.authority.failure = new AcmeFailure('refused', 'a CAA record forbids it');
    await site.pass(1000);
    const { pinSha256, selfSigned, provisional } = site.source.info();
    assert.deepEqual([pinSha256, selfSigned, provisional], [before, true, undefined]);
    assert.equal(site.health.size, 0);
    const line = site.world.lines.find(({ message }) => /self-signed certificate is used/.test(message));
    assert.deepEqual(line?.fields, { why: 'a CAA record forbids it' });
    site.source.stop();
    const again = new Site(place, site.world.wall, 'auto');
    await again.pass(DAY_MS);
    assert.equal(again.authority.orders, 0);
    assert.equal(again.source.info().pinSha256, before);
    again.source.stop();
  });
});
