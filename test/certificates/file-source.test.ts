import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FileCertificateSource } from '../../src/certificates/file-source.ts';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import { openCertificateSource } from '../../src/certificates/open.ts';
import type { CertificatePair } from '../../src/certificates/source.ts';
import { TowpathError } from '../../src/base/errors.ts';
import { DAY_MS, scratch, START, World } from './support.ts';
import { issueByAuthority } from './x509-oracle.ts';

const POLL_SECONDS = 10;
let count = 0;

function makePair(names: string[], days = 90): CertificatePair {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(START - DAY_MS), notAfter: new Date(START + days * DAY_MS) };
  return { certPem: makeSelfSigned({ names, ...dates }, key), keyPem: formatCertificateKey(key) };
}

describe('certificate from files', () => {
  const directory = scratch();
  const good = makePair(['relay.example.com']);

  interface Files {
    readonly certPath: string;
    readonly keyPath: string;
  }

  function put(pair: CertificatePair, folder = join(directory.path, String(count++))): Files {
    mkdirSync(folder, { recursive: true });
    const files = { certPath: join(folder, 'tls.crt'), keyPath: join(folder, 'tls.key') };
    // A new inode each time, so that the test does not depend on the resolution of file times.
    for (const [path, text] of [[files.certPath, pair.certPem] as const, [files.keyPath, pair.keyPem] as const]) {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    }
    return files;
  }

  function open(world: World, files: Files, names = ['relay.example.com']): FileCertificateSource {
    return new FileCertificateSource({ ...files, ...world.parts, names, pollSeconds: POLL_SECONDS });
  }

  function failure(files: Files): TowpathError {
    try {
      open(new World(), files);
    } catch (error) {
      assert.ok(error instanceof TowpathError);
      return error;
    }
    throw new assert.AssertionError({ message: 'nothing was thrown' });
  }

  it('takes a good pair without a word', () => {
    const world = new World();
    assert.deepEqual(open(world, put(good)).current(), good);
    assert.deepEqual(world.said(), []);
  });

  it('refuses to start without a usable pair', () => {
    const other = makePair(['relay.example.com']);
    assert.equal(failure(put({ ...good, keyPem: other.keyPem })).code, 'TOWPATH_CERTIFICATE_KEY_MISMATCH');
    assert.equal(failure(put({ ...good, keyPem: 'junk' })).code, 'TOWPATH_CERTIFICATE_INVALID');
    assert.equal(failure(put({ ...good, certPem: '' })).code, 'TOWPATH_CERTIFICATE_INVALID');
    const cut = good.certPem.replace(/(BEGIN CERTIFICATE-----\n.{64}\n)[^-]*/, '$1');
    assert.match(failure(put({ ...good, certPem: good.certPem + cut })).message, /certificate 2 cannot be parsed/);
    const missing = { certPath: join(directory.path, 'none.crt'), keyPath: join(directory.path, 'none.key') };
    assert.equal(failure(missing).code, 'TOWPATH_CERTIFICATE_UNREADABLE');
  });

  it('warns about names it does not cover, and about its end', () => {
    const world = new World();
    open(world, put(makePair(['a.example'], 3)), ['relay.example.com', 'a.example', '192.0.2.1']);
    const [names, ends] = world.lines;
    assert.ok(names !== undefined && 'missing' in names.fields);
    assert.deepEqual(names.fields.missing, ['relay.example.com', '192.0.2.1']);
    assert.match(ends?.message ?? '', /expires soon/);
    world.said();
    world.pass(DAY_MS);
    assert.equal(world.said().length, 1);
    world.pass(3 * DAY_MS);
    assert.match(world.said()[0]!, /^error: the certificate has expired/);
  });

  it('warns about a certificate whose only name is its common name: clients ignore that', async () => {
    const world = new World();
    open(world, put(await issueByAuthority('relay.example.com')));
    const [warning = ''] = world.said();
    assert.match(warning, /^warn: the certificate has no subject alternative name.*-addext subjectAltName/);
  });

  it('warns about a self-signed one with others behind it: clients that pin it refuse that', () => {
    const world = new World();
    open(world, put({ ...good, certPem: good.certPem + makePair(['other.example.com']).certPem }));
    assert.match(world.said().join(), /^warn: a self-signed certificate is pinned by clients.*exactly one/);
  });

  it('warns about a key that every user can read, and not about one for a group', () => {
    const world = new World();
    const files = put(good);
    chmodSync(files.keyPath, 0o640);
    open(world, files);
    assert.deepEqual(world.said(), []);
    chmodSync(files.keyPath, 0o644);
    open(world, files);
    assert.match(world.said().join(), /^warn: every user of this machine can read or change the key/);
  });

  it('that nobody replaces fails readiness in its last days, with the reason, until it is replaced', () => {
    const world = new World();
    const files = put(makePair(['relay.example.com'], 10));
    open(world, files);
    world.pass(8 * DAY_MS);
    assert.equal(world.problems.get('certificate'), undefined);
    world.pass(DAY_MS);
    assert.match(
      world.problems.get('certificate')!,
      /tls\.crt ends on 2026-12-04T12:00:00\.000Z, and its files have not changed$/,
    );
    put({ ...good, certPem: 'damaged' }, join(files.certPath, '..'));
    world.pass(POLL_SECONDS * 1000);
    assert.match(world.problems.get('certificate')!, /the changed files cannot be used: /);
    put(makePair(['relay.example.com'], 99), join(files.certPath, '..'));
    world.pass(POLL_SECONDS * 1000);
    assert.equal(world.problems.size, 0);
  });

  it('takes a changed pair at the next poll, and not before', () => {
    const world = new World();
    const files = put(good);
    const source = open(world, files);
    const seen: CertificatePair[] = [];
    source.onChange((pair) => seen.push(pair));
    const next = makePair(['relay.example.com']);
    put(next, join(files.certPath, '..'));
    world.pass(POLL_SECONDS * 1000 - 1);
    assert.deepEqual(source.current(), good);
    world.pass(1);
    assert.deepEqual(source.current(), next);
    assert.deepEqual(seen, [next]);
    assert.deepEqual(world.said(), ['info: certificate reloaded']);
  });

  it('follows a mounted secret, which is swapped by a symbolic link', () => {
    const root = join(directory.path, String(count++));
    put(good, join(root, '1'));
    const next = makePair(['relay.example.com']);
    put(next, join(root, '2'));
    symlinkSync('1', join(root, 'data'));
    const world = new World();
    const files = { certPath: join(root, 'data', 'tls.crt'), keyPath: join(root, 'data', 'tls.key') };
    const source = open(world, files);
    symlinkSync('2', join(root, 'data.new'));
    renameSync(join(root, 'data.new'), join(root, 'data'));
    world.pass(POLL_SECONDS * 1000);
    assert.deepEqual(source.current(), next);
  });

  it('refuses a broken change, says so once, and takes the mended one', () => {
    const world = new World();
    const files = put(good);
    const source = open(world, files);
    const seen: CertificatePair[] = [];
    source.onChange((pair) => seen.push(pair));
    const folder = join(files.certPath, '..');
    const next = makePair(['relay.example.com']);
    put({ certPem: next.certPem, keyPem: good.keyPem }, folder);
    world.pass(POLL_SECONDS * 1000);
    world.pass(POLL_SECONDS * 1000);
    assert.deepEqual(world.said(), ['error: the changed certificate cannot be used; the old one stays in use']);
    rmSync(files.keyPath);
    world.pass(POLL_SECONDS * 1000);
    assert.equal(world.said().length, 1);
    assert.deepEqual([source.current(), seen], [good, []]);
    put(next, folder);
    world.pass(POLL_SECONDS * 1000);
    assert.deepEqual([source.current(), seen], [next, [next]]);
  });

  it('says nothing when files were touched but are the same', () => {
    const world = new World();
    const files = put(good);
    open(world, files).onChange(() => assert.fail());
    put(good, join(files.certPath, '..'));
    world.pass(POLL_SECONDS * 1000);
    assert.deepEqual(world.said(), []);
  });

  it('stops looking when told', () => {
    const world = new World();
    const files = put(good);
    const source = open(world, files);
    source.stop();
    put(makePair(['relay.example.com']), join(files.certPath, '..'));
    world.pass(POLL_SECONDS * 1000);
    assert.deepEqual(source.current(), good);
  });

  it("finds derper's layout by the host name", () => {
    const folder = join(directory.path, String(count++));
    mkdirSync(folder);
    writeFileSync(join(folder, 'relay.example.com.crt'), good.certPem);
    writeFileSync(join(folder, 'relay.example.com.key'), good.keyPem);
    const settings = { mode: 'file', directory: folder, names: ['Relay.example.com'], listenIps: [] } as const;
    const numbers = { validityDays: 365, renewBeforeDays: 30, pollSeconds: POLL_SECONDS };
    const source = openCertificateSource(
      { ...settings, ...numbers },
      { ...new World().parts, serverPublicKey: Buffer.alloc(32, 1) },
    );
    assert.ok(source.current().certPem.startsWith(good.certPem));
    assert.equal(source.current().keyPem, good.keyPem);
  });
});
