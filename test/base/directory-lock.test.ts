import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { DirectoryLock } from '../../src/base/directory-lock.ts';

const SETTING = 'peerRelay.stateDirectory';

function folder(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'towpath-lock-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return path.join(directory, 'state');
}

suite('a directory for one process', () => {
  test('is refused to another one until it is given back', (t) => {
    const directory = folder(t);
    const first = DirectoryLock.take(directory, SETTING);
    assert.throws(() => DirectoryLock.take(directory, SETTING), {
      code: 'TOWPATH_DIRECTORY_TAKEN',
      message: new RegExp(`in use by process ${process.pid}$`),
      hint: /peerRelay\.stateDirectory/,
    });
    assert.equal(first.touch(), true);
    first.release();
    const second = DirectoryLock.take(directory, SETTING);
    assert.equal(first.touch(), false, 'it is not ours any more');
    first.release();
    assert.ok(existsSync(path.join(directory, 'lock')), 'the lock of another stays');
    second.release();
  });

  test('is free at once when its process was killed', { skip: process.platform !== 'linux' }, async (t) => {
    const directory = folder(t);
    const module = new URL('../../src/base/directory-lock.ts', import.meta.url).href;
    const program = path.join(directory, '..', 'take.mjs');
    writeFileSync(
      program,
      `import { DirectoryLock } from ${JSON.stringify(module)};
      DirectoryLock.take(${JSON.stringify(directory)}, 'x'); console.log('taken'); setInterval(() => {}, 1000);`,
    );
    const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    assert.throws(() => DirectoryLock.take(directory, SETTING), { message: new RegExp(`process ${child.pid}$`) });
    child.kill('SIGKILL');
    await once(child, 'exit');
    DirectoryLock.take(directory, SETTING).release();
  });

  test('is free after 20 s without a touch when its process cannot be looked at', (t) => {
    const directory = folder(t);
    const file = path.join(directory, 'lock');
    DirectoryLock.take(directory, SETTING).release();
    for (const text of [JSON.stringify({ pid: 1, startedAt: '1', world: 'elsewhere', token: 'x' }), 'not JSON', '']) {
      writeFileSync(file, text);
      assert.throws(() => DirectoryLock.take(directory, SETTING), { code: 'TOWPATH_DIRECTORY_TAKEN' }, text);
      utimesSync(file, Date.now() / 1000 - 30, Date.now() / 1000 - 30);
      const lock = DirectoryLock.take(directory, SETTING);
      assert.equal((JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid, process.pid);
      lock.release();
    }
  });

  test('that cannot be written is named', (t) => {
    const directory = folder(t);
    DirectoryLock.take(directory, SETTING).release();
    writeFileSync(path.join(directory, 'file'), '');
    assert.throws(() => DirectoryLock.take(path.join(directory, 'file', 'x'), SETTING), {
      code: 'TOWPATH_DIRECTORY',
      hint: /peerRelay\.stateDirectory/,
    });
  });
});
