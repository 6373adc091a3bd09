/** Tests standard output and error that are full or closed: the relay must serve, and every stop must end it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { transport } from '../../src/transport/runtime.ts';
import { within } from '../service/support.ts';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';
import { freePort } from '../free-port.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');

/** Runs `body` with a pipe that is full and not read. */
async function withFullPipe(body: (fd: number) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-pipe-'));
  const file = path.join(folder, 'pipe');
  spawnSync('mkfifo', [file]);
  const filling = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  // Opens it again, because O_NONBLOCK belongs to the first open file.
  const fd = openSync(file, constants.O_RDWR);
  try {
    for (const size of [4096, 1]) fill(filling, size);
    await body(fd);
  } finally {
    closeSync(filling);
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

function fill(fd: number, size: number): void {
  const piece = Buffer.alloc(size, 'x');
  try {
    for (;;) writeSync(fd, piece);
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'EAGAIN', String(error));
  }
}

/** Runs `body` with a relay that has these standard streams and has accepted a client. */
async function withServing(
  stdio: StdioOptions,
  body: (relay: RelayProcess) => Promise<void>,
  ...args: string[]
): Promise<void> {
  const port = await freePort();
  const own = ['--listen', `127.0.0.1:${port}`, ...FREE_PORTS.slice(2), '--drain-seconds', '0', ...args];
  const relay = new RelayProcess(own, undefined, undefined, undefined, { stdio });
  try {
    await untilServed(port);
    await body(relay);
  } finally {
    await relay.clean();
  }
}

async function untilServed(port: number, deadlineMs = 60_000): Promise<void> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    try {
      const options = { transport, clock: new Clock(), verify: { kind: 'none' } } as const;
      const client = await connectDerp({ ...options, url: `https://127.0.0.1:${port}/derp`, timeoutMs: 20_000 });
      client.abort();
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

suite('an output that takes nothing', { skip: process.platform !== 'linux' }, () => {
  test('the log on a full disk: the relay serves, and SIGTERM ends it with 0', async () => {
    const fd = openSync('/dev/full', 'w');
    await withServing(['ignore', 'pipe', fd], async (relay) => assert.deepEqual(await relay.end('SIGTERM'), [0, null]));
    closeSync(fd);
  });

  test('the log in a pipe that nobody reads: SIGTERM ends the relay with 0', async () => {
    await withFullPipe(async (fd) => {
      const body = async (relay: RelayProcess): Promise<void> =>
        assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      await withServing(['ignore', 'pipe', fd], body, '--log-level', 'debug');
      await withServing(['ignore', 'pipe', fd], body, '--log-format', 'pretty');
    });
  });

  test('neither log nor output is read: SIGTERM ends the relay with 0, a second signal at once', async () => {
    await withFullPipe(async (fd) => {
      await withServing(['ignore', fd, fd], async (relay) => assert.deepEqual(await relay.end('SIGTERM'), [0, null]));
      await withServing(['ignore', fd, fd], async (relay) => {
        assert.deepEqual(await relay.end('SIGTERM', 'SIGINT'), [130, null]);
      });
    });
  });

  test('a command whose reader comes late loses nothing', () => {
    const script =
      '{ head -c 60000 /dev/zero; "$0" "$1" config schema; } | { sleep 1; tail -c +60001 | wc -c; }; "$0" "$1" config schema | wc -c';
    const { stdout } = spawnSync('sh', ['-c', script, process.execPath, MAIN], { encoding: 'utf8' });
    const [late, prompt] = stdout.trim().split(/\s+/).map(Number);
    assert.equal(late, prompt);
  });

  test('standard input, output and error are closed: the relay serves and ends', async () => {
    const port = await freePort();
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-closed-'));
    const own = ['--key-file', path.join(folder, 'k'), '--certificate-directory', folder, '--hostname', '127.0.0.1'];
    const args = [MAIN, 'serve', ...own, '--listen', `127.0.0.1:${port}`, ...FREE_PORTS.slice(2)];
    const child = spawn('sh', ['-c', 'exec "$0" "$@" 0<&- 1>&- 2>&-', process.execPath, ...args], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    try {
      await untilServed(port);
      child.kill('SIGTERM');
      assert.deepEqual(await within(ended, 'the end'), [0, null]);
    } finally {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  });

  test('a command whose output nobody reads is ended by SIGTERM and SIGINT', async () => {
    await withFullPipe(async (fd) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        const child = spawn(process.execPath, [MAIN, 'config', 'schema'], { stdio: ['ignore', fd, fd] });
        const ended = once(child, 'exit');
        // The test cannot see when the command waits, but a signal at any other moment must end it too.
        await new Promise((resolve) => setTimeout(resolve, 500));
        child.kill(signal);
        assert.deepEqual(await within(ended, 'the end'), [null, signal]);
      }
    });
  });
});
