/** Tests a configuration from a pipe, and a current directory that was removed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const TOWPATH = [process.execPath, MAIN];

describe('towpath', { skip: process.platform === 'win32' }, () => {
  it('reads a configuration from standard input', () => {
    const script = 'echo "hostname: relay.example.com" | "$@"';
    const args = ['-c', script, 'sh', ...TOWPATH, 'config', 'print', '--config', '/dev/stdin'];
    const { stdout, status } = spawnSync('sh', args, { encoding: 'utf8' });
    assert.match(stdout, /hostname: "relay\.example\.com"/);
    assert.equal(status, 0);
  });

  it('where the current directory is gone says so of a relative path, and needs it for nothing else', () => {
    const run = (...args: string[]) => {
      const cwd = mkdtempSync(path.join(tmpdir(), 'towpath-gone-'));
      const script = `cd ${cwd} && rmdir ${cwd} && exec "$@"`;
      return spawnSync('sh', ['-c', script, 'sh', ...TOWPATH, ...args], { encoding: 'utf8' });
    };
    assert.equal(run('config', 'print', '--key-file', '/tmp/x.key').status, 0);
    const relative = run('config', 'print', '--key-file', 'x.key');
    // Bun remembers its first directory.
    if (process.versions.bun === undefined) {
      assert.match(relative.stderr, /^towpath: x\.key is a relative path, and the current directory has been deleted/);
    }
    assert.doesNotMatch(relative.stderr, /unexpected error/);
  });
});
