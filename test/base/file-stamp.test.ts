import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileStamp, NEVER_READ, readSmallFile } from '../../src/base/file-stamp.ts';

describe('what a file looks like', () => {
  let directory = '';
  before(() => (directory = mkdtempSync(join(tmpdir(), 'towpath-stamp-'))));
  after(() => rmSync(directory, { recursive: true }));
  const at = (name: string): string => join(directory, name);
  function changes(path: string, action: () => void): boolean {
    const before = fileStamp(path);
    action();
    return fileStamp(path) !== before;
  }

  it('stays the same while nothing happens', () => {
    writeFileSync(at('quiet'), 'a');
    assert.equal(
      changes(at('quiet'), () => undefined),
      false,
    );
    assert.notEqual(fileStamp(at('quiet')), NEVER_READ);
  });

  it('changes with its rights, its name, its link and its absence', () => {
    const path = at('file');
    writeFileSync(path, 'a');
    utimesSync(path, 1000, 1000);
    assert.ok(
      changes(path, () => chmodSync(path, 0o600)),
      'rights',
    );
    const isSwapSeen = changes(path, () => {
      writeFileSync(at('new'), 'b');
      utimesSync(at('new'), 1000, 1000);
      renameSync(at('new'), path);
    });
    assert.ok(isSwapSeen, 'replaced by one of equal size and time');
    assert.ok(
      changes(path, () => rmSync(path)),
      'gone',
    );
    assert.ok(
      changes(path, () => mkdirSync(path)),
      'a directory',
    );

    // As Kubernetes mounts a secret: the file is a link through "..data", and that link is swapped.
    for (const version of ['v1', 'v2']) {
      mkdirSync(at(version));
      writeFileSync(join(at(version), 'keys'), 'a');
    }
    symlinkSync('v1', at('..data'));
    symlinkSync('..data/keys', at('keys'));
    const isLinkSeen = changes(at('keys'), () => {
      symlinkSync('v2', at('..data_tmp'));
      renameSync(at('..data_tmp'), at('..data'));
    });
    assert.ok(isLinkSeen, 'link swapped');
  });

  it('reads text, also of files that state no size, and nothing that is no file', () => {
    writeFileSync(at('text'), 'käse');
    assert.equal(readSmallFile(at('text'), 5), 'käse');
    assert.throws(() => readSmallFile(at('text'), 4), /it is longer than/);
    assert.throws(() => readSmallFile(at('none'), 4), { code: 'ENOENT' });
    mkdirSync(at('directory'));
    assert.throws(() => readSmallFile(at('directory'), 4), /this is a directory, not a file/);
  });

  it('does not read a huge file to the end', () => {
    writeFileSync(at('huge'), '');
    truncateSync(at('huge'), 2 ** 33);
    assert.throws(() => readSmallFile(at('huge'), 1024 * 1024), /it is longer than 1 MiB/);
  });

  it('never waits for a named pipe, nor for a device without end', { skip: process.platform === 'win32' }, () => {
    execFileSync('mkfifo', [at('pipe')]);
    assert.throws(() => readSmallFile(at('pipe'), 4), /this is a named pipe, not a file/);
    assert.equal(readSmallFile('/dev/null', 4), '');
    assert.throws(() => readSmallFile('/dev/zero', 4), /it is longer than/);
  });
});
