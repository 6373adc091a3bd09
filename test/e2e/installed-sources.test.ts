import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe('the sources below node_modules, where npm puts a package from a git URL', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-installed-'));
  const installed = path.join(folder, 'node_modules', 'towpath');
  for (const name of ['bin', 'src', 'package.json']) {
    cpSync(path.join(ROOT, name), path.join(installed, name), { recursive: true });
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(installed, 'node_modules'));
  after(() => rmSync(folder, { recursive: true }));

  it('serve with two threads, on Node without a warning', async () => {
    const main = path.join(installed, 'bin/towpath.cjs');
    const relay = new RelayProcess([...FREE_PORTS, '--threads', '2'], undefined, process.execPath, main);
    try {
      await relay.says(/"msg":"ready"/);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      assert.doesNotMatch(relay.output, /Warning:|a relay thread has ended/);
    } finally {
      await relay.clean();
    }
  });
});
