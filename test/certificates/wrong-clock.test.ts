import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BUILD_DATE_MS } from '../../src/certificates/build-date.ts';
import { inspectSelfSigned } from '../../src/certificates/inspect-self-signed.ts';
import { SelfSignedCertificateSource } from '../../src/certificates/self-signed-source.ts';
import { DAY_MS, scratch, START, World } from './support.ts';

const NAME = 'relay.example.com';
const POLICY = { names: [NAME], validityDays: 365, renewBeforeDays: 30, pollSeconds: 10 };
const LOOK_MS = 10_000;
const HOUR_MS = 3_600_000;
const IN_1970 = 300_000;
const IN_2069 = Date.UTC(2069, 11, 31, 12);
let count = 0;

/** The certificate directory of a relay, which several sources use in turn. */
class Site {
  readonly directory: string;
  world: World = new World();
  source: SelfSignedCertificateSource;

  constructor(folder: string, wall: number) {
    this.directory = join(folder, String(count++));
    this.source = this.start(wall);
  }

  start(wall: number, policy: Partial<typeof POLICY> = {}): SelfSignedCertificateSource {
    this.world = new World();
    this.world.wall = wall;
    this.source = new SelfSignedCertificateSource({
      ...POLICY,
      ...policy,
      ...this.world.parts,
      directory: this.directory,
    });
    return this.source;
  }

  stop(): void {
    this.source.stop();
  }

  runs(ms: number): void {
    for (let left = ms; left > 0; left -= HOUR_MS) this.world.pass(Math.min(left, HOUR_MS));
  }

  get pin(): string {
    return this.source.info().pinSha256;
  }
}

describe('a self-signed certificate and a wrong clock', () => {
  const folder = scratch();

  it('outlives a start in 2069, and hours of it', () => {
    for (const hours of [0, 1, 23]) {
      const site = new Site(folder.path, START);
      const { pin } = site;
      site.stop();
      site.start(IN_2069);
      site.runs(hours * HOUR_MS);
      assert.equal(site.pin, pin);
      const said = site.world.said();
      assert.equal(said.length, 1, said.join('\n'));
      assert.match(said[0]!, /^error: by this machine's clock the certificate has expired.*set the clock right/);
      site.stop();
      site.start(START);
      assert.deepEqual([site.pin, site.world.said()], [pin, []]);
    }
  });

  it('that was replaced in 2069 after all is in use again at once when the clock is right, at a start or while running', () => {
    for (const restarts of [true, false]) {
      const site = new Site(folder.path, START);
      const { pin } = site;
      const pem = site.source.current();
      site.stop();
      site.start(IN_2069);
      site.runs(25 * HOUR_MS);
      assert.notEqual(site.pin, pin);
      assert.equal(readFileSync(join(site.directory, `${NAME}.old.crt`), 'utf8'), pem.certPem);
      site.world.said();
      if (restarts) {
        site.stop();
        site.start(START + DAY_MS);
      } else {
        site.world.wall = START + DAY_MS;
        site.world.pass(LOOK_MS);
      }
      assert.equal(site.pin, pin);
      assert.deepEqual(site.source.current(), pem);
      assert.match(site.world.said().join(), /^warn: by the clock, the certificate in use is not valid/);
      site.stop();
      site.start(START + 2 * DAY_MS);
      assert.deepEqual([site.pin, site.world.said()], [pin, []]);
    }
  });

  it('outlives jumps of the clock while it is in use, and is not announced to change', () => {
    const site = new Site(folder.path, START);
    const { pin } = site;
    site.world.said();
    for (const wall of [IN_2069, IN_1970, START + 350 * DAY_MS, START, 0, START + 10 * DAY_MS]) {
      site.world.wall = wall;
      site.world.pass(LOOK_MS);
      assert.equal(site.pin, pin);
    }
    assert.equal(site.source.info().next, null);
    site.world.said();
    site.runs(3 * DAY_MS);
    assert.deepEqual(site.world.said(), []);
  });

  it('made in 1970 is valid then and now, and stays when the clock is right', () => {
    const site = new Site(folder.path, IN_1970);
    const { notBefore, notAfter } = site.source.info();
    assert.ok(notBefore.getTime() >= 0 && notBefore.getTime() <= IN_1970);
    assert.equal(notAfter.getTime(), BUILD_DATE_MS + 3650 * DAY_MS);
    const said = site.world.said();
    assert.match(said.join('\n'), /^info: self-signed certificate made\nerror: this machine's clock is wrong/);
    const { pin } = site;
    site.world.wall = START;
    site.world.pass(LOOK_MS);
    assert.match(site.world.said().join(), /^info: this machine's clock can be right now/);
    site.runs(30 * HOUR_MS);
    site.stop();
    site.start(START + 1000 * DAY_MS);
    site.runs(30 * HOUR_MS);
    assert.deepEqual([site.pin, site.world.said()], [pin, []]);
  });

  it('made in 2069 is valid now', () => {
    const site = new Site(folder.path, IN_2069);
    const { pin } = site;
    const { validFromDate, validToDate } = new X509Certificate(site.source.current().certPem);
    assert.ok(validFromDate.getTime() <= BUILD_DATE_MS);
    assert.ok(validToDate.getTime() === IN_2069 + 365 * DAY_MS);
    site.stop();
    site.start(START);
    site.runs(30 * HOUR_MS);
    assert.equal(site.pin, pin);
  });

  it('made at the end of time has dates that can be written', () => {
    const site = new Site(folder.path, Date.UTC(9999, 10, 1));
    assert.equal(site.source.info().notAfter.toISOString(), '9999-12-31T23:59:59.000Z');
  });

  it('that only a clock of 2069 made valid, without an older one, is replaced after a day', () => {
    const site = new Site(folder.path, IN_2069);
    site.runs(370 * DAY_MS);
    const { pin } = site;
    assert.ok(site.source.info().notBefore.getTime() > START);
    site.stop();
    writeFileSync(join(site.directory, `${NAME}.old.crt`), 'lost');
    site.start(START);
    site.runs(23 * HOUR_MS);
    assert.equal(site.pin, pin);
    assert.match(site.world.said().join(), /the certificate is not valid yet/);
    site.runs(2 * HOUR_MS);
    assert.notEqual(site.pin, pin);
    assert.ok(site.source.info().notAfter.getTime() < START + 370 * DAY_MS);
  });

  it('of other names comes back with those names', () => {
    const site = new Site(folder.path, START);
    const { pin } = site;
    site.stop();
    site.start(START, { names: [NAME, '203.0.113.7'] });
    const other = site.pin;
    site.stop();
    assert.equal(site.start(START).info().pinSha256, pin);
    site.stop();
    assert.equal(site.start(START, { names: [NAME, '203.0.113.7'] }).info().pinSha256, other);
  });

  it('is neither replaced nor prepared by a command that looks in 2069', () => {
    const site = new Site(folder.path, START);
    const world = new World();
    world.wall = IN_2069;
    const info = inspectSelfSigned({ ...POLICY, ...world.parts, directory: site.directory });
    assert.deepEqual([info.pinSha256, info.next], [site.pin, null]);
  });

  it('keeps serving where the next one cannot be written, from the start on', () => {
    const site = new Site(folder.path, START);
    const { pin } = site;
    site.stop();
    const inTheWay = join(site.directory, `${NAME}.next.crt`);
    mkdirSync(inTheWay);
    const source = site.start(START + 340 * DAY_MS);
    assert.equal(source.info().pinSha256, pin);
    site.runs(20 * HOUR_MS);
    const said = site.world.said();
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0]!, /^error: the certificate could not be renewed; the relay tries again/);
    assert.match(site.world.problems.get('certificate') ?? '', /cannot be renewed: .*next\.crt/);
    rmdirSync(inTheWay);
    site.world.pass(LOOK_MS);
    assert.notEqual(source.info().next, null);
    assert.equal(site.world.problems.size, 0);
  });

  it('is the same after any clocks at all, once the clock is right', () => {
    const wrong = fc.record({
      wall: fc.oneof(fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) }), fc.constant(IN_1970), fc.constant(IN_2069)),
      hours: fc.integer({ min: 0, max: 30 }),
      restarts: fc.boolean(),
    });
    const right = fc.record({ days: fc.integer({ min: 0, max: 330 }), restarts: fc.boolean() });
    fc.assert(
      fc.property(fc.array(wrong, { maxLength: 4 }), right, (phases, last) => {
        const site = new Site(folder.path, START);
        const { pin } = site;
        const go = (wall: number, restarts: boolean): void => {
          if (restarts) site.stop();
          if (restarts) site.start(wall);
          else site.world.wall = wall;
        };
        for (const { wall, hours, restarts } of phases) {
          go(wall, restarts);
          site.world.pass(LOOK_MS);
          site.runs(hours * HOUR_MS);
        }
        go(START + last.days * DAY_MS, last.restarts);
        site.world.pass(LOOK_MS);
        assert.equal(site.pin, pin);
        assert.equal(site.source.info().next, null);
        site.stop();
      }),
      { numRuns: 60 },
    );
  });
});
