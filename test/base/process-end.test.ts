import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { within } from '../service/support.ts';

const MODULE = path.resolve(import.meta.dirname, '../../src/base/process-end.ts');

suite('the end of the process', { skip: process.platform === 'win32' }, () => {
  for (const way of ['endProcess', 'endProcessNow']) {
    test(`${way} does not wait for a thread that is stuck`, async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'towpath-end-'));
      const pipe = path.join(folder, 'pipe');
      spawnSync('mkfifo', [pipe]);
      // Opening a pipe that has no writer blocks its thread.
      const program = `
        import { open } from 'node:fs';
        import { ${way} } from ${JSON.stringify(MODULE)};
        open(${JSON.stringify(pipe)}, 'r', () => undefined);
        ${way}(7);`;
      const file = path.join(folder, 'main.mjs');
      writeFileSync(file, program);
      const child = spawn(process.execPath, [file], { stdio: 'ignore' });
      const ended = once(child, 'exit');
      try {
        assert.deepEqual(await within(ended, 'the end', 20_000), [7, null]);
      } finally {
        child.kill('SIGKILL');
        rmSync(folder, { recursive: true });
      }
    });
  }
});
