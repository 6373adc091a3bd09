import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Errno, errnoName } from '../../src/system/linux.ts';
import type { SystemProbe } from '../../src/system/probe.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import type { RefusedCall } from './refuse-calls.ts';

const { unavailable } = await loadSystemCalls();
const child = path.join(import.meta.dirname, 'refused-child.ts');

interface Answer {
  readonly probe: SystemProbe;
  readonly sent: number;
  readonly errno: string | null;
}

async function ask(rules: Partial<Record<RefusedCall, number>>): Promise<Answer> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, JSON.stringify(rules)]);
  return JSON.parse(stdout) as Answer;
}

describe('system calls that a seccomp filter refuses', { timeout: 60_000, skip: unavailable ?? false }, () => {
  it('nothing refused: the probe passes', async () => {
    const { probe, sent } = await ask({});
    assert.equal(probe.isUsable, true);
    assert.equal(sent, 1);
  });

  for (const call of ['recvmmsg', 'sendmmsg', 'eventfd', 'poll'] as const) {
    it(`${call}: the probe names it`, async () => {
      const { probe } = await ask({ [call]: Errno.EPERM });
      assert.deepEqual(probe, { isUsable: false, reason: `the system refuses ${call}: EPERM` });
    });
  }

  it('a profile that knows nothing of the call answers ENOSYS', async () => {
    const { probe } = await ask({ recvmmsg: Errno.ENOSYS });
    assert.deepEqual(probe, { isUsable: false, reason: 'the system refuses recvmmsg: ENOSYS' });
  });

  for (const errno of [Errno.EPERM, Errno.EIO]) {
    it(`a send that fails says ${errnoName(errno)}`, async () => {
      const { sent, errno: seen } = await ask({ sendmmsg: errno });
      assert.deepEqual([sent, seen], [-1, errnoName(errno)]);
    });
  }
});
