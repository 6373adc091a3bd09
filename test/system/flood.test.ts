import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { loadSystemCalls } from '../../src/system/runtime.ts';

const { unavailable } = await loadSystemCalls();
const flood = path.join(import.meta.dirname, 'flood.ts');

describe('flood of datagrams under forced garbage collection', { timeout: 60_000, skip: unavailable ?? false }, () => {
  it('no byte is wrong and no memory is lost', async () => {
    const flags = 'bun' in process.versions ? [] : ['--expose-gc'];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, flood, '--seconds', '2']);
    const [, datagrams, , collections, wrong] = stdout.match(/\b\d+\b/g)!.map(Number);
    assert.equal(wrong, 0, stdout);
    assert.ok(datagrams! > 100 && collections! >= 2, stdout);
  });
});
