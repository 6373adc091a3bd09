import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FileCertificateSource } from '../../src/certificates/file-source.ts';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import { SelfSignedCertificateSource } from '../../src/certificates/self-signed-source.ts';
import type { CertificatePair, CertificateSource } from '../../src/certificates/source.ts';
import { DAY_MS, scratch, START, World } from './support.ts';

const NAME = 'relay.example.com';
const NOBODY = 65_534;
const POLL_SECONDS = 10;
const REFUSED = 'error: the changed certificate cannot be used; the old one stays in use';
const POLICY = { names: [NAME], validityDays: 365, renewBeforeDays: 30, pollSeconds: POLL_SECONDS };
let count = 0;

function makePair(): CertificatePair {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(START - DAY_MS), notAfter: new Date(START + 90 * DAY_MS) };
  return { certPem: makeSelfSigned({ names: [NAME], ...dates }, key), keyPem: formatCertificateKey(key) };
}

/** A source with its two files, and the changes of these files. */
class Site {
  readonly world: World = new World();
  readonly folder: string;
  readonly source: CertificateSource;
  readonly first: CertificatePair;
  readonly taken: CertificatePair[] = [];

  constructor(directory: string, kind: 'files' | 'self-signed') {
    this.folder = join(directory, String(count++));
    if (kind === 'files') {
      mkdirSync(this.folder);
      this.write(makePair());
      const { certPath, keyPath } = this;
      const options = { certPath, keyPath, names: [NAME], pollSeconds: POLL_SECONDS };
      this.source = new FileCertificateSource({ ...options, ...this.world.parts });
    } else {
      this.source = new SelfSignedCertificateSource({ ...POLICY, ...this.world.parts, directory: this.folder });
    }
    this.first = this.source.current();
    this.source.onChange((pair) => this.taken.push(pair));
    this.world.said();
  }

  get certPath(): string {
    return join(this.folder, `${NAME}.crt`);
  }

  get keyPath(): string {
    return join(this.folder, `${NAME}.key`);
  }

  write({ certPem, keyPem }: CertificatePair): void {
    replace(this.certPath, certPem);
    replace(this.keyPath, keyPem);
  }

  polls(times = 1): void {
    for (let n = 0; n < times; n++) this.world.pass(POLL_SECONDS * 1000);
  }

  /** Checks that the changed files are refused with one line, and that the source uses `pair` after `fix`. */
  refusesUntil(fix: () => void, pair: CertificatePair): void {
    this.polls(4);
    assert.deepEqual(this.world.said(), [REFUSED]);
    assert.deepEqual([this.source.current(), this.taken], [this.first, []]);
    fix();
    this.polls();
    assert.deepEqual(this.source.current(), pair);
    assert.equal(this.taken.length, pair === this.first ? 0 : 1);
  }
}

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Runs an action as a user without root rights, because root can read every file. The folders then belong to this user. */
function asOrdinaryUser(folders: readonly string[], action: () => void): void {
  if (process.getuid?.() !== 0) {
    action();
    return;
  }
  for (const folder of folders) chownSync(folder, NOBODY, NOBODY);
  process.seteuid?.(NOBODY);
  try {
    action();
  } finally {
    process.seteuid?.(0);
  }
}

for (const kind of ['files', 'self-signed'] as const) {
  describe(`changed files of a certificate, ${kind}`, () => {
    const directory = scratch();
    const open = (): Site => new Site(directory.path, kind);

    it('are read again when only the rights of a file change', () => {
      const site = open();
      const pair = makePair();
      asOrdinaryUser([directory.path, site.folder], () => {
        site.write(pair);
        chmodSync(site.keyPath, 0);
        site.refusesUntil(() => chmodSync(site.keyPath, 0o600), pair);
      });
    });

    it('are read at each poll while the last read failed, even when nothing shows that they changed', () => {
      const site = open();
      const pair = makePair();
      const old = readFileSync(site.keyPath, 'utf8');
      site.write({ ...pair, keyPem: old });
      site.polls(3);
      assert.deepEqual(site.world.said(), [REFUSED]);
      // The same inode, size and time of change of the text, as a program that restores times would leave it.
      writeFileSync(site.keyPath, pair.keyPem);
      utimesSync(site.keyPath, 1, 1);
      site.polls();
      assert.deepEqual(site.source.current(), pair);
    });

    it('that are no files neither stop the process nor fill its memory', () => {
      const site = open();
      const pair = makePair();
      const things: (() => void)[] = [
        () => execFileSync('mkfifo', [site.certPath]),
        () => mkdirSync(site.certPath),
        () => symlinkSync('/dev/zero', site.certPath),
        () => symlinkSync('/dev/null', site.certPath),
        () => symlinkSync(site.certPath, site.certPath),
        () => writeFileSync(site.certPath, Buffer.alloc(3_000_000, '\n')),
        () => writeFileSync(site.certPath, Buffer.alloc(2000)),
        () => undefined,
      ];
      for (const make of things) {
        rmSync(site.certPath, { recursive: true, force: true });
        make();
        site.polls(2);
        assert.deepEqual(site.world.said(), [REFUSED], String(make));
      }
      site.write(pair);
      site.polls();
      assert.deepEqual(site.source.current(), pair);
    });

    it('are taken when the folder was gone and is back', () => {
      const site = open();
      renameSync(site.folder, `${site.folder}.away`);
      site.refusesUntil(() => renameSync(`${site.folder}.away`, site.folder), site.first);
      assert.match(site.world.said().join(), /^info: the certificate (?:can be read again|files are valid again)/);
    });

    it('are taken through hard links, and when the old time is set back', () => {
      const site = open();
      const pair = makePair();
      for (const [path, text] of [
        [site.certPath, pair.certPem],
        [site.keyPath, pair.keyPem],
      ] as const) {
        writeFileSync(`${path}.other`, text, { mode: 0o600 });
        utimesSync(`${path}.other`, 1, 1);
        rmSync(path);
        linkSync(`${path}.other`, path);
      }
      site.polls();
      assert.deepEqual(site.source.current(), pair);
    });

    it('are refused while they are being written', () => {
      const site = open();
      const pair = makePair();
      replace(site.keyPath, pair.keyPem);
      writeFileSync(site.certPath, pair.certPem + pair.certPem.slice(0, 300));
      site.refusesUntil(() => appendFileSync(site.certPath, pair.certPem.slice(300)), {
        ...pair,
        certPem: pair.certPem + pair.certPem,
      });
    });

    it('are read on request, and the log says what was found', () => {
      const site = open();
      site.source.reload();
      assert.match(site.world.said().join(), /^info: the certificate .*read again: nothing has changed$/);
      rmSync(site.certPath);
      site.source.reload();
      site.source.reload();
      assert.deepEqual(site.world.said(), [REFUSED, REFUSED]);
      const pair = makePair();
      site.write(pair);
      site.source.reload();
      assert.deepEqual([site.source.current(), site.taken], [pair, [pair]]);
    });

    it('never bring key material into the log', () => {
      const site = open();
      const secret = makePair().keyPem;
      for (const text of [secret, secret.slice(0, 100), secret.replaceAll('-----', '----')]) {
        replace(site.certPath, text);
        replace(site.keyPath, text);
        site.polls();
      }
      assert.ok(!JSON.stringify(site.world.lines).includes(secret.split('\n')[1]!.slice(0, 20)));
    });
  });
}
