import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inspectSelfSigned } from '../../src/certificates/inspect-self-signed.ts';
import { SelfSignedCertificateSource } from '../../src/certificates/self-signed-source.ts';
import type { CertificatePair } from '../../src/certificates/source.ts';
import { TowpathError } from '../../src/base/errors.ts';
import { pinOf } from '../../src/wire/pin.ts';
import { DAY_MS, scratch, START, World } from './support.ts';
import { issueByAuthority } from './x509-oracle.ts';

const MINUTE_MS = 60_000;
const POLICY = { names: ['relay.example.com', '203.0.113.7'], validityDays: 365, renewBeforeDays: 30, pollSeconds: 10 };
let count = 0;

describe('self-signed certificate', () => {
  const directory = scratch();

  function fresh(): string {
    return join(directory.path, String(count++), 'certs');
  }

  function open(world: World, path: string, changes: Partial<typeof POLICY> = {}): SelfSignedCertificateSource {
    return new SelfSignedCertificateSource({ ...POLICY, ...changes, ...world.parts, directory: path });
  }

  function failure(path: string): TowpathError {
    try {
      open(new World(), path);
    } catch (error) {
      assert.ok(error instanceof TowpathError);
      return error;
    }
    throw new assert.AssertionError({ message: 'nothing was thrown' });
  }

  it('is made on the first start in derper files, for the owner only', () => {
    const path = fresh();
    const world = new World();
    const source = open(world, path);
    assert.deepEqual(readdirSync(path).sort(), ['relay.example.com.crt', 'relay.example.com.key']);
    assert.equal(statSync(path).mode & 0o777, 0o700);
    for (const name of readdirSync(path)) assert.equal(statSync(join(path, name)).mode & 0o777, 0o600);
    const { names, notAfter, next, pinSha256, selfSigned } = source.info();
    assert.deepEqual(names, POLICY.names);
    assert.equal(notAfter.getTime(), START + 365 * DAY_MS);
    assert.equal(pinSha256, pinOf(new X509Certificate(source.current().certPem).raw));
    assert.deepEqual([selfSigned, next], [true, null]);
    assert.deepEqual(world.said(), ['info: self-signed certificate made']);
  });

  it('is kept over restarts, quietly', () => {
    const path = fresh();
    const first = open(new World(), path).current();
    const world = new World();
    assert.deepEqual(open(world, path).current(), first);
    assert.deepEqual(world.said(), []);
  });

  it('never puts key material into the log', () => {
    const world = new World();
    const { keyPem } = open(world, fresh()).current();
    const body = keyPem.split('\n')[1]!;
    assert.ok(!JSON.stringify(world.lines).includes(body));
  });

  it('is renewed as planned: announced daily, switched one day before the end, same key', () => {
    const path = fresh();
    const world = new World();
    const source = open(world, path);
    const pairs: CertificatePair[] = [];
    source.onChange((pair) => pairs.push(pair));
    const old = { ...source.current(), ...source.info() };
    world.said();

    world.pass(335 * DAY_MS - 1);
    assert.deepEqual([world.said(), source.info().next], [[], null]);

    world.pass(3_600_000);
    const next = source.info().next!;
    assert.equal(next.from.getTime(), old.notAfter.getTime() - DAY_MS);
    assert.notEqual(next.pinSha256, old.pinSha256);
    assert.equal(source.info().pinSha256, old.pinSha256);
    const [announcement = ''] = world.said();
    assert.match(announcement, /^warn: the certificate and its pin change on 2027-11-23T12:00:00.000Z/);
    assert.match(announcement, /mv .*\.next\.crt .*towpath derp-map/);

    world.pass(3_600_000);
    assert.deepEqual(world.said(), []);
    world.pass(DAY_MS);
    assert.equal(world.said().length, 1);
    assert.equal(source.info().next?.pinSha256, next.pinSha256);

    world.pass(28 * DAY_MS);
    assert.deepEqual([source.info().pinSha256, source.info().next], [next.pinSha256, null]);
    assert.match(world.said()[0]!, /^warn: the announced certificate is in use now/);
    assert.deepEqual(pairs, [source.current()]);
    assert.equal(source.current().keyPem, old.keyPem);
    assert.equal(source.info().notAfter.getTime(), old.notAfter.getTime() + 365 * DAY_MS);
    const files = ['relay.example.com.crt', 'relay.example.com.key', 'relay.example.com.old.crt'];
    assert.deepEqual(readdirSync(path).sort(), files);
    assert.equal(readFileSync(join(path, files[2]!), 'utf8'), old.certPem);
    const later = new World();
    later.wall = world.wall;
    assert.equal(open(later, path).info().pinSha256, next.pinSha256);
  });

  it('is switched by the operator at a better time, without a restart', () => {
    const path = fresh();
    const world = new World();
    const source = open(world, path);
    const pairs: CertificatePair[] = [];
    source.onChange((pair) => pairs.push(pair));
    world.pass(336 * DAY_MS);
    const { next } = source.info();
    world.said();
    const certPath = join(path, 'relay.example.com.crt');
    renameSync(join(path, 'relay.example.com.next.crt'), certPath);
    world.pass(POLICY.pollSeconds * 1000);
    assert.deepEqual([source.info().pinSha256, source.info().next], [next?.pinSha256, null]);
    assert.deepEqual(pairs, [source.current()]);
    assert.match(world.said()[0]!, /^info: the certificate was changed on the disk.*towpath derp-map/);

    writeFileSync(certPath, 'junk');
    world.pass(POLICY.pollSeconds * 1000);
    world.pass(POLICY.pollSeconds * 1000);
    assert.deepEqual(world.said(), ['error: the changed certificate cannot be used; the old one stays in use']);
    assert.equal(source.info().pinSha256, next?.pinSha256);
  });

  it('keeps an announced pin over a restart, and switches at a start after the date', () => {
    const path = fresh();
    open(new World(), path).stop();
    const world = new World();
    world.wall += 340 * DAY_MS;
    const announcedPin = open(world, path).info().next?.pinSha256;
    const again = open(world, path);
    assert.equal(again.info().next?.pinSha256, announcedPin);
    world.wall += 24.5 * DAY_MS;
    const late = open(world, path);
    assert.notEqual(late.info().pinSha256, announcedPin, 'not on the first look: the clock may be set yet');
    world.pass(10 * MINUTE_MS);
    assert.equal(late.info().pinSha256, announcedPin);
  });

  it('is replaced without notice, loudly, a day after the start when it ended while the relay was off', () => {
    const path = fresh();
    const old = open(new World(), path).info();
    const world = new World();
    world.wall += 500 * DAY_MS;
    const source = open(world, path);
    world.pass(DAY_MS - 1);
    assert.equal(source.info().pinSha256, old.pinSha256);
    const said = world.said();
    assert.equal(said.length, 1);
    assert.match(said[0]!, /^error: by this machine's clock the certificate has expired.*24 hours.*"mv .*and restart/);
    world.pass(20_000);
    const { notAfter, pinSha256 } = source.info();
    assert.notEqual(pinSha256, old.pinSha256);
    assert.ok(Math.abs(notAfter.getTime() - (world.wall + 365 * DAY_MS)) < MINUTE_MS);
    assert.match(world.said()[0]!, /^error: .*without an announcement.*derp-map/);
  });

  it('is replaced, loudly and with the same key, when the names changed', () => {
    const path = fresh();
    const old = open(new World(), path);
    const world = new World();
    const source = open(world, path, { names: ['relay.example.com', '203.0.113.8'] });
    assert.deepEqual(source.info().names, ['relay.example.com', '203.0.113.8']);
    assert.equal(source.current().keyPem, old.current().keyPem);
    const { fields } = world.lines[0]!;
    assert.match(world.said()[0]!, /^warn: the names of the relay changed/);
    assert.ok('oldPinSha256' in fields && fields.oldPinSha256 === old.info().pinSha256);
  });

  it('is made loudly when the relay seems to have had another name before', () => {
    const path = fresh();
    open(new World(), path);
    const world = new World();
    open(world, path, { names: ['other.example.com'] });
    assert.match(world.said()[0]!, /^warn: self-signed certificate made; .*another name/);
  });

  it('goes on with the old one when the renewal cannot be written, and says so', () => {
    const path = fresh();
    const world = new World();
    const source = open(world, path);
    world.said();
    rmSync(path, { recursive: true });
    writeFileSync(path, 'in the way');
    world.pass(336 * DAY_MS);
    const said = world.said();
    assert.match(said[0]!, /^error: the changed certificate cannot be used/);
    assert.match(said[1]!, /^error: the certificate could not be renewed/);
    assert.match(world.problems.get('certificate')!, /^the certificate ends on .* and cannot be renewed: /);
    assert.ok(source.current().certPem.length > 0);
  });

  it('refuses broken files, says what to do, and overwrites nothing', () => {
    const path = fresh();
    open(new World(), path);
    const [certPath, keyPath] = [join(path, 'relay.example.com.crt'), join(path, 'relay.example.com.key')];
    const [cert, key] = [readFileSync(certPath), readFileSync(keyPath)];
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' });
    const cases: [string, Buffer | string][] = [
      [certPath, ''],
      [certPath, cert.subarray(0, 200)],
      [keyPath, 'nothing'],
      [keyPath, other],
    ];
    for (const [file, content] of cases) {
      writeFileSync(certPath, cert);
      writeFileSync(keyPath, key);
      writeFileSync(file, content);
      const error = failure(path);
      assert.equal(error.code, 'TOWPATH_CERTIFICATE_BROKEN');
      assert.ok(error.message.includes(file));
      assert.match(error.hint ?? '', /backup/);
      assert.deepEqual(readFileSync(file), Buffer.from(content));
    }
    writeFileSync(certPath, cert);
    rmSync(keyPath);
    assert.equal(failure(path).code, 'TOWPATH_CERTIFICATE_BROKEN');
    assert.ok(!existsSync(keyPath));
  });

  it('completes a first start that was cut off after the key', () => {
    const path = fresh();
    open(new World(), path);
    rmSync(join(path, 'relay.example.com.crt'));
    const key = readFileSync(join(path, 'relay.example.com.key'), 'utf8');
    assert.equal(open(new World(), path).current().keyPem, key);
  });

  it('leaves a certificate of an authority alone', async () => {
    const path = fresh();
    mkdirSync(path, { recursive: true });
    const { certPem, keyPem } = await issueByAuthority('relay.example.com');
    writeFileSync(join(path, 'relay.example.com.crt'), certPem);
    writeFileSync(join(path, 'relay.example.com.key'), keyPem);
    const error = failure(path);
    assert.equal(error.code, 'TOWPATH_CERTIFICATE_NOT_SELF_SIGNED');
    assert.match(error.hint ?? '', /mode "file"/);
  });

  it('can be looked at without being switched or replaced', () => {
    const path = fresh();
    const world = new World();
    const made = inspectSelfSigned({ ...POLICY, ...world.parts, directory: path });
    assert.equal(open(new World(), path).info().pinSha256, made.pinSha256);
    const other = inspectSelfSigned({ ...POLICY, ...world.parts, names: ['relay.example.com'], directory: path });
    assert.equal(other.pinSha256, made.pinSha256);
    assert.match(world.said().at(-1)!, /^warn: the stored certificate is for other names/);
    world.wall += 364.5 * DAY_MS;
    const late = inspectSelfSigned({ ...POLICY, ...world.parts, directory: path });
    assert.equal(late.pinSha256, made.pinSha256);
    const source = open(world, path);
    world.pass(10 * MINUTE_MS);
    assert.equal(source.info().pinSha256, late.next?.pinSha256);
  });
});
