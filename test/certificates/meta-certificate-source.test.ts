import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import { describe as facts, readChain } from '../../src/certificates/read.ts';
import type { CertificatePair, CertificateSource } from '../../src/certificates/source.ts';
import { MetaCertificateSource } from '../../src/certificates/meta-certificate-source.ts';
import { META_CERTIFICATE_REFRESH_MS, readMetaCertificate } from '../../src/certificates/x509/meta-certificate.ts';
import { DAY_MS, START, World } from './support.ts';

const SERVER_KEY = Buffer.alloc(32, 0x5a);

function makePair(): CertificatePair {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(START), notAfter: new Date(START + DAY_MS) };
  return { certPem: makeSelfSigned({ names: ['a.example'], ...dates }, key), keyPem: formatCertificateKey(key) };
}

class Given implements CertificateSource {
  pair: CertificatePair = Object.freeze(makePair());
  stopped = false;
  #listener: (pair: CertificatePair) => void = () => undefined;

  current(): CertificatePair {
    return this.pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listener = listener;
    return () => (this.#listener = () => undefined);
  }

  info(): ReturnType<CertificateSource['info']> {
    return facts(readChain(this.pair.certPem, 'given')[0]);
  }

  reload(): void {
    this.change();
  }

  stop(): void {
    this.stopped = true;
  }

  change(): void {
    this.pair = makePair();
    this.#listener(this.pair);
  }
}

function setUp(): { world: World; given: Given; source: MetaCertificateSource; seen: CertificatePair[] } {
  const world = new World();
  const given = new Given();
  const source = new MetaCertificateSource(given, { ...world.parts, serverPublicKey: SERVER_KEY });
  const seen: CertificatePair[] = [];
  source.onChange((pair) => seen.push(pair));
  return { world, given, source, seen };
}

function chainOf(pair: CertificatePair): Buffer[] {
  return readChain(pair.certPem, 'served').map((certificate) => certificate.raw);
}

describe('meta-certificate behind the chain', () => {
  it("statement 66: the chain is the provider's and the meta-certificate last; the provider's object is unchanged", () => {
    const { given, source } = setUp();
    const before = { ...given.pair };
    const chain = chainOf(source.current());
    assert.equal(chain.length, 2);
    assert.deepEqual(chain[0], chainOf(given.pair)[0]);
    assert.deepEqual(readMetaCertificate(chain.slice(1)), { serverKey: SERVER_KEY, version: 2 });
    assert.deepEqual(given.pair, before);
    assert.equal(source.current().keyPem, before.keyPem);
    assert.equal(source.info().pinSha256, given.info().pinSha256);
  });

  it('follows a change of the provider, with the same meta-certificate', () => {
    const { given, source, seen } = setUp();
    const meta = chainOf(source.current())[1];
    given.change();
    assert.deepEqual(seen, [source.current()]);
    assert.deepEqual(chainOf(source.current()), [chainOf(given.pair)[0], meta]);
  });

  it('makes a new meta-certificate long before the old one ends', () => {
    const { world, source, seen } = setUp();
    const first = source.current();
    world.pass(META_CERTIFICATE_REFRESH_MS - 1);
    assert.deepEqual([source.current(), seen], [first, []]);
    world.pass(1);
    assert.deepEqual(seen, [source.current()]);
    const [, meta] = readChain(source.current().certPem, 'served');
    assert.equal(meta?.validToDate.getTime(), world.wall + 30 * DAY_MS);
    world.pass(100);
    assert.equal(seen.length, 1);
  });

  it('goes on when a listener throws, and says so', () => {
    const { world, given, source, seen } = setUp();
    source.onChange(() => {
      throw new Error('no');
    });
    given.change();
    assert.equal(seen.length, 1);
    assert.deepEqual(world.said(), ['error: a listener refused the new certificate']);
  });

  it('ends with everything under it', () => {
    const { world, given, source, seen } = setUp();
    source.stop();
    given.change();
    world.pass(META_CERTIFICATE_REFRESH_MS);
    assert.deepEqual([given.stopped, seen], [true, []]);
  });
});
