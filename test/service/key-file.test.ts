import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { createKeyFile, loadKeyFile, loadOrCreateKeyFile } from '../../src/service/key-file.ts';
import { TowpathError } from '../../src/base/errors.ts';

const KEY_FILE = pathToFileURL(join(import.meta.dirname, '../../src/service/key-file.ts')).href;
const PRIVATE = 'privkey:1011111111111111111111111111111111111111111111111111111111111151';
const PUBLIC = '7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13';

function failure(action: () => unknown): TowpathError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof TowpathError);
    return error;
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' });
}

describe('key file (§7.2)', () => {
  let directory = '';
  before(() => (directory = mkdtempSync(join(tmpdir(), 'towpath-key-'))));
  after(() => rmSync(directory, { recursive: true }));

  function file(name: string, text: string, mode = 0o600): string {
    const path = join(directory, name);
    writeFileSync(path, text, { mode });
    return path;
  }

  it('reads what derper wrote', () => {
    const path = file('derper.key', `{\n\t"PrivateKey": "${PRIVATE}"\n}`);
    const { keyPair, created, warnings } = loadOrCreateKeyFile(path);
    assert.equal(keyPair.publicKey.toString('hex'), PUBLIC);
    assert.equal(created, false);
    assert.deepEqual(warnings, []);
  });

  it('finds the key in any case, as Go does', () => {
    const path = file('case.key', `{"privatekey":"${PRIVATE}"}`);
    assert.equal(loadKeyFile(path).keyPair.publicKey.toString('hex'), PUBLIC);
  });

  it('makes the key and its directory on the first start, for the owner only, and keeps it', () => {
    const path = join(directory, 'new', 'derper.key');
    const first = loadOrCreateKeyFile(path);
    assert.equal(first.created, true);
    assert.match(readFileSync(path, 'utf8'), /^\{\n\t"PrivateKey": "privkey:[0-9a-f]{64}"\n\}\n$/);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, 'new')).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(join(directory, 'new')), ['derper.key']);
    assert.deepEqual(loadOrCreateKeyFile(path).keyPair.publicKey, first.keyPair.publicKey);
  });

  it('makes no folder but the last: a wrong path is not a new relay', () => {
    const path = join(directory, 'tpyo', 'towpath', 'derper.key');
    const error = failure(() => loadOrCreateKeyFile(path));
    assert.equal(error.code, 'TOWPATH_KEY_FILE_UNWRITABLE');
    assert.equal(error.message, `key file ${path}: there is no folder ${join(directory, 'tpyo')}`);
    assert.match(error.hint ?? '', /keyFile.*mkdir -p/);
    assert.equal(existsSync(join(directory, 'tpyo')), false);
  });

  it('refuses what is no key, names the file and says what to do, and echoes nothing', () => {
    const secret = PRIVATE.slice(0, -2);
    const texts = [
      '',
      '[]',
      'null',
      '{}',
      '{"PrivateKey":5}',
      `{"PrivateKey":"${secret}"}`,
      `{"PrivateKey":"${secret}`,
    ];
    for (const text of texts) {
      const path = file('bad.key', text);
      const error = failure(() => loadOrCreateKeyFile(path));
      assert.equal(error.code, 'TOWPATH_KEY_FILE_INVALID');
      assert.ok(error.message.includes(path));
      assert.match(error.hint ?? '', /backup/);
      assert.ok(!error.message.includes('1111'));
      assert.equal(readFileSync(path, 'utf8'), text);
    }
  });

  it('warns about a file that others can read', () => {
    const path = file('open.key', `{"PrivateKey":"${PRIVATE}"}`);
    chmodSync(path, 0o640);
    const [warning = ''] = loadKeyFile(path).warnings;
    assert.ok(warning.includes(`chmod 600 ${path}`));
  });

  it('says how to make a missing key, and where it cannot be written', () => {
    const missing = failure(() => loadKeyFile(join(directory, 'none.key')));
    assert.match(missing.hint ?? '', /towpath keygen --out/);
    const blocked = join(file('plain', ''), 'derper.key');
    assert.equal(failure(() => loadOrCreateKeyFile(blocked)).code, 'TOWPATH_KEY_FILE_UNREADABLE');
    assert.equal(failure(() => createKeyFile(blocked)).code, 'TOWPATH_KEY_FILE_UNWRITABLE');
  });

  it('belongs to the owner of the place when root makes it for a service', { skip: process.getuid?.() !== 0 }, () => {
    const place = join(directory, 'service');
    mkdirSync(place);
    chownSync(place, 12_345, 12_346);
    const path = join(place, 'a', 'derper.key');
    createKeyFile(path);
    for (const made of [join(place, 'a'), path]) {
      assert.deepEqual([statSync(made).uid, statSync(made).gid], [12_345, 12_346]);
    }
  });

  it('that is no file is refused at once, without reading it', () => {
    const pipe = join(directory, 'pipe.key');
    execFileSync('mkfifo', [pipe]);
    const zero = join(directory, 'zero.key');
    symlinkSync('/dev/zero', zero);
    for (const [path, why] of [
      [pipe, /a named pipe/],
      [zero, /longer than/],
      [directory, /a directory/],
    ] as const) {
      const error = failure(() => loadOrCreateKeyFile(path));
      assert.equal(error.code, 'TOWPATH_KEY_FILE_UNREADABLE');
      assert.match(error.message, why);
    }
  });

  it('is never made anew where a power cut left nothing of it, or where a mount is missing', () => {
    for (const text of ['', '\0\0\0\0\0\0']) {
      const path = file('cut.key', text);
      assert.match(failure(() => loadOrCreateKeyFile(path)).hint ?? '', /backup.*move it away/);
      assert.equal(readFileSync(path, 'utf8'), text);
    }
    const link = join(directory, 'link.key');
    symlinkSync(join(directory, 'not-mounted.key'), link);
    const error = failure(() => loadOrCreateKeyFile(link));
    assert.match(error.message, /a symbolic link to a file that does not exist/);
    assert.match(error.hint ?? '', /mounted/);
    assert.ok(!existsSync(link));
  });

  it('is the same for many first starts at once', async () => {
    const path = join(directory, 'race', 'derper.key');
    const program = `
      import { loadOrCreateKeyFile } from ${JSON.stringify(KEY_FILE)};
      console.log(loadOrCreateKeyFile(${JSON.stringify(path)}).keyPair.publicKey.toString('hex'));`;
    const run = promisify(execFile);
    const args = 'bun' in process.versions ? ['-e', program] : ['--input-type=module', '-e', program];
    const starts = Array.from({ length: 6 }, () => run(process.execPath, args));
    const keys = new Set((await Promise.all(starts)).map(({ stdout }) => stdout));
    assert.equal(keys.size, 1);
    assert.deepEqual(readdirSync(join(directory, 'race')), ['derper.key']);
  });

  it('never overwrites a key', () => {
    const path = file('kept.key', 'precious');
    assert.equal(failure(() => createKeyFile(path)).code, 'TOWPATH_KEY_FILE_EXISTS');
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });
});
