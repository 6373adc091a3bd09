import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { AcmeFailure } from '../../src/certificates/acme/failure.ts';
import type { AcmeClient, Order } from '../../src/certificates/acme/port.ts';
import { makeSelfSigned } from '../../src/certificates/make.ts';
import { openCertificateSource, type CertificateSettings } from '../../src/certificates/open.ts';
import type { CertificateSource } from '../../src/certificates/source.ts';
import { loadConfig } from '../../src/config/load.ts';
import { DAY_MS, scratch, World } from './support.ts';

const NAME = 'relay.example.com';
const HOUR_MS = 3_600_000;

/** An authority in this process: fails while `failure` is set. */
class FakeAuthority implements AcmeClient {
  failure: AcmeFailure | null = null;
  orders = 0;
  readonly answered: string[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  register(): Promise<string> {
    return Promise.resolve('https://ca.example/account/1');
  }

  order(): Promise<Order> {
    this.orders++;
    return Promise.resolve(orderOf(this.orders));
  }

  resume(): Promise<Order | null> {
    return Promise.resolve(null);
  }

  prove(_authorization: unknown, challenge: { readonly type: string }): Promise<void> {
    this.answered.push(challenge.type);
    return this.failure === null ? Promise.resolve() : Promise.reject(this.failure);
  }

  finish(_url: string, names: readonly string[], keyPem: string): Promise<string> {
    const from = this.#world.wall;
    const dates = { notBefore: new Date(from), notAfter: new Date(from + 90 * DAY_MS) };
    return Promise.resolve(makeSelfSigned({ names, ...dates }, createPrivateKey(keyPem)));
  }
}

function orderOf(n: number): Order {
  const challenges = ['http-01', 'tls-alpn-01'].map((type) => ({ type, url: 'u', token: 't', answer: 't.k' }));
  const identifier = { type: 'dns', value: NAME } as const;
  return {
    url: `https://ca.example/order/${n}`,
    status: 'pending',
    authorizations: [{ url: 'a', identifier, isValid: false, challenges }],
  };
}

/** A relay's certificate with that authority, time in our hands. */
class Site {
  readonly world: World = new World();
  readonly authority: FakeAuthority = new FakeAuthority(this.world);
  readonly health: Map<string, string> = new Map();
  readonly source: CertificateSource;

  constructor(
    directory: string,
    wall: number | null = null,
    mode: 'acme' | 'auto' = 'acme',
    authority?: FakeAuthority,
    flags: Readonly<Record<string, string>> = {},
  ) {
    if (wall !== null) this.world.wall = wall;
    if (authority !== undefined) this.authority = authority;
    const { config } = loadConfig({
      flags: { hostname: NAME, 'certificate.directory': directory, 'certificate.acme.termsAgreed': true, ...flags },
    });
    const settings: CertificateSettings = { ...config.certificate, mode, listenIps: [], publicIp: ['192.0.2.1'] };
    this.source = openCertificateSource(settings, {
      ...this.world.parts,
      serverPublicKey: Buffer.alloc(32, 1),
      answersHttp: true,
      openClient: () => Promise.resolve(this.authority),
      random: () => 0,
      health: {
        set: (name, problem) => (problem === null ? this.health.delete(name) : this.health.set(name, problem)),
      },
    });
  }

  /** Lets time pass and waits for what that sets off to come to its end. */
  async pass(ms: number): Promise<void> {
    this.world.pass(ms);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a certificate from an authority', () => {
  const folder = scratch();
  let n = 0;
  const fresh = (): string => `${folder.path}/${n++}`;

  // The directory is asked by fetch, which goes nowhere here.
  const realFetch = globalThis.fetch;
  const directory = { newOrder: 'https://ca.example/o' };
  globalThis.fetch = () => Promise.resolve(Response.json(directory));
  process.on('exit', () => (globalThis.fetch = realFetch));

  it('is obtained, replaces the stand-in, and is told to listeners', async () => {
    const site = new Site(fresh());
    const before = site.source.current().certPem;
    assert.equal(site.source.info().provisional, true);
    assert.match(site.health.get('certificate') ?? '', /issued no certificate yet/);
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
