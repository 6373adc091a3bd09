import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { Errno } from '../../src/system/linux.ts';
import { createNoCalls } from '../../src/system/none.ts';
import { probeSystem } from '../../src/system/probe.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { systemContract } from './contract.ts';

const calls = await loadSystemCalls();

describe(`system calls by ${calls.adapter}`, { timeout: 60_000, skip: calls.unavailable ?? false }, () => {
  if (calls.unavailable === null) systemContract(calls);
});

describe('no system calls', () => {
  it('says why, and each call fails with ENOSYS', () => {
    const none = createNoCalls('this is a test');
    assert.deepEqual(probeSystem(none), { isUsable: false, reason: 'this is a test' });
    const results = [
      none.socket(2, 2, 0),
      none.bind(0, 0n, 16),
      none.connect(0, 0n, 16),
      none.setsockopt(0, 1, 1, 0n, 4),
      none.getsockopt(0, 1, 1, 0n, 0n),
      none.getsockname(0, 0n, 0n),
      none.recvmmsg(0, 0n, 1, 0, null),
      none.sendmmsg(0, 0n, 1, 0),
      none.eventfd(0, 0),
      none.read(0, 0n, 8),
      none.write(0, 0n, 8),
      none.poll(0n, 1, 0),
      none.fcntl(0, 1030, 3),
      none.close(0),
    ];
    assert.deepEqual(results, Array<number>(results.length).fill(-1));
    assert.equal(none.errno(), Errno.ENOSYS);
  });

  it('is what this runtime has, or it has a reason not to', () => {
    const isBun = 'bun' in process.versions;
    const hasFfi = isBun || process.getBuiltinModule('node:ffi') !== undefined;
    if (hasFfi) assert.equal(calls.adapter, isBun ? 'bun:ffi' : 'node:ffi');
    else assert.match(calls.unavailable ?? '', /^Node 24\.\S+ has no node:ffi, Node 26 has$/);
  });
});

describe(
  'the warning of Node that FFI is experimental',
  { skip: 'bun' in process.versions ? 'Bun has none' : false },
  () => {
    it('is not written, and others are', () => {
      const runtime = new URL('../../src/system/runtime.ts', import.meta.url).href;
      const code = `await (await import(${JSON.stringify(runtime)})).loadSystemCalls();
      process.emitWarning('another thing', 'ExperimentalWarning');`;
      const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
      assert.doesNotMatch(stderr, /FFI/);
      assert.match(stderr, /another thing/);
    });
  },
);
