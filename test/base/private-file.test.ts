import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { writePrivateFile } from '../../src/base/private-file.ts';

const PRIVATE_FILE = pathToFileURL(join(import.meta.dirname, '../../src/base/private-file.ts')).href;

describe('private file', () => {
  let directory = '';
  before(() => (directory = mkdtempSync(join(tmpdir(), 'towpath-private-'))));
  after(() => rmSync(directory, { recursive: true }));

  it('takes the place of the file that a symbolic link leads to, and the link stays', () => {
    mkdirSync(join(directory, 'kept'));
    const target = join(directory, 'kept', 'a.pem');
    writeFileSync(target, 'old');
    const link = join(directory, 'link.pem');
    symlinkSync(target, link);
    writePrivateFile(link, 'new', { replace: true });
    assert.equal(readFileSync(target, 'utf8'), 'new');
    assert.equal(readlinkSync(link), target);
    assert.equal(statSync(target).mode & 0o777, 0o600);
  });

  it('names the file itself in an error, in the same words each time', () => {
    const path = join(directory, 'n'.repeat(250));
    const messages = [1, 2].map(() => {
      try {
        writePrivateFile(path, 'text', { replace: true });
      } catch (error) {
        return String(error);
      }
      throw new Error('written');
    });
    assert.equal(messages[0], messages[1]);
    assert.ok(messages[0]!.includes(`'${path}'`), messages[0]);
  });

  it('removes what a process left that was ended in the middle, and nothing else', () => {
    const place = join(directory, 'left');
    mkdirSync(place);
    const others = ['b.pem', 'a.pem.old.tmp', 'b.pem.0123456789ab.tmp', 'a.pem.fedcba987654.tmp'];
    for (const name of [...others, 'a.pem.0123456789ab.tmp']) writeFileSync(join(place, name), 'x');
    for (const name of [...others.slice(0, 3), 'a.pem.0123456789ab.tmp']) utimesSync(join(place, name), 1000, 1000);
    writePrivateFile(join(place, 'a.pem'), 'new', { replace: true });
    // The last of the other files belongs to another process that is writing now.
    assert.deepEqual(readdirSync(place).sort(), [...others, 'a.pem'].sort());
  });

  it('of which only a part could be written leaves what was there, and nothing else', () => {
    const place = join(directory, 'full');
    mkdirSync(place);
    const path = join(place, 'a.pem');
    writeFileSync(path, 'old');
    // A limit of 8 KiB for each file is like a disk that becomes full: the first write is partial, without an error.
    const program = `
      import { writePrivateFile } from ${JSON.stringify(PRIVATE_FILE)};
      try {
        writePrivateFile(${JSON.stringify(path)}, 'n'.repeat(20_000), { replace: true });
        console.log('written');
      } catch (error) {
        console.log(error.code);
      }`;
    const args = 'bun' in process.versions ? ['-e', program] : ['--input-type=module', '-e', program];
    const limited = ['-c', 'trap "" XFSZ; ulimit -f 8; exec "$0" "$@"', process.execPath, ...args];
    assert.equal(execFileSync('bash', limited, { encoding: 'utf8' }), 'EFBIG\n');
    assert.deepEqual([readFileSync(path, 'utf8'), readdirSync(place)], ['old', ['a.pem']]);
  });
});
