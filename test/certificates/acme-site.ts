import { createPrivateKey } from 'node:crypto';
import type { AcmeFailure } from '../../src/certificates/acme/failure.ts';
import type { AcmeClient, Order } from '../../src/certificates/acme/port.ts';
import { makeSelfSigned } from '../../src/certificates/make-certificate.ts';
import { openCertificateSource, type CertificateSettings } from '../../src/certificates/open.ts';
import type { CertificateSource } from '../../src/certificates/source.ts';
import { loadConfig } from '../../src/config/load.ts';
import { DAY_MS, World } from './support.ts';

export const NAME = 'relay.example.com';

/** An authority in this process: fails while `failure` is set. */
export class FakeAuthority implements AcmeClient {
  failure: AcmeFailure | null = null;
  orders = 0;
  /** The time of its clock, in milliseconds since 1970; null: the same as that of the relay. */
  wall: number | null = null;
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
    const from = this.wall ?? this.#world.wall;
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

/** The certificate of a relay with this authority. The test sets the time. */
export class Site {
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

  /** Advances the clock by `ms` and waits until the work that this starts is done. */
  async pass(ms: number): Promise<void> {
    this.world.pass(ms);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}
