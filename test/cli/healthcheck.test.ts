import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { test } from 'node:test';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;

function healthcheck(...argv: string[]): SpawnSyncReturns<string> {
  const env = { PATH: process.env['PATH'] };
  return spawnSync(process.execPath, [MAIN, 'healthcheck', ...argv], { encoding: 'utf8', env });
}

test('towpath healthcheck says what /readyz says, and fails without an answer', async (t) => {
  const relay = new RelayProcess([...FREE_PORTS]);
  t.after(() => relay.clean());
  await relay.says(/"msg":"ready"/);
  const admin = `127.0.0.1:${await relay.port('admin')}`;
  const ready = healthcheck('--admin', admin);
  assert.deepEqual([ready.status, ready.stdout, ready.stderr], [0, 'ready\n', '']);
  await relay.end('SIGTERM');
  const gone = healthcheck('--admin', admin);
  assert.deepEqual([gone.status, gone.stdout], [1, '']);
  assert.match(gone.stderr, new RegExp(`^towpath: No answer from the relay at http://${admin}: `));
});

test('towpath healthcheck says so when the relay has no admin address', () => {
  const { status, stderr } = healthcheck('--admin', 'off');
  assert.equal(status, 1);
  assert.match(stderr, /no admin address/);
});
