/** Signals at every moment of the life of a relay. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

const SIGHUP = 1;

async function withRelay(args: readonly string[], body: (relay: RelayProcess) => Promise<void>): Promise<void> {
  const relay = new RelayProcess([...FREE_PORTS, '--no-self-test', ...args]);
  try {
    await body(relay);
  } finally {
    await relay.clean();
  }
}

/**
 * Resolves when the process has its own handlers. A signal before that would end the process, or open the debugger.
 * SIGHUP is the last that it takes over; the handler of SIGUSR1 that one sees first is Node's own.
 */
async function untilHandled({ child }: RelayProcess): Promise<void> {
  for (;;) {
    const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
    const mask = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
    if ((mask >> BigInt(SIGHUP - 1)) & 1n) return;
    assert.equal(child.exitCode, null, 'it has ended');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A service that accepts connections and never answers. */
async function silentService(): Promise<{ url: string; close: () => void; asked: Promise<unknown> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close, asked: once(server, 'connection') };
}

suite('signals', { skip: process.platform !== 'linux' }, () => {
  test('SIGHUP, SIGUSR1 and SIGUSR2 from the first moment on: the relay starts, and reads its configuration again', async () => {
    await withRelay([], async (relay) => {
      await untilHandled(relay);
      const every = setInterval(() => {
        for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) relay.child.kill(signal);
      }, 5);
      await relay.says(/"msg":"towpath started"/).finally(() => clearInterval(every));
      await relay.says(/configuration reloaded/);
      assert.doesNotMatch(relay.output, /Debugger listening/);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    });
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    test(`${signal} in the first moment ends the relay with 0`, async () => {
      await withRelay([], async (relay) => {
        await untilHandled(relay);
        assert.deepEqual(await relay.end(signal), [0, null]);
        assert.doesNotMatch(relay.output, /towpath started/);
      });
    });
  }

  test('SIGTERM while the start waits for an admission service ends the relay with 0, a second one at once', async () => {
    for (const [signals, expected] of [
      [['SIGTERM'], 0],
      [['SIGTERM', 'SIGINT'], 130],
    ] as [NodeJS.Signals[], number][]) {
      const service = await silentService();
      try {
        const folder = mkdtempSync(path.join(tmpdir(), 'towpath-e2e-'));
        const file = path.join(folder, 'towpath.yaml');
        writeFileSync(path.join(folder, 'key'), 'tskey-api-nobody', { mode: 0o600 });
        const source = `{ kind: tailscale-api, apiKeyFile: key, baseUrl: "${service.url}" }`;
        writeFileSync(file, `admission: { sources: [${source}] }\n`);
        const relay = new RelayProcess([...FREE_PORTS, '--config', file], folder);
        try {
          await Promise.race([service.asked, relay.says(/towpath started/)]);
          assert.doesNotMatch(relay.output, /towpath started/);
          assert.deepEqual(await relay.end(...signals), [expected, null]);
          assert.doesNotMatch(relay.output, /towpath started/);
        } finally {
          await relay.clean();
        }
      } finally {
        service.close();
      }
    }
  });

  test('SIGUSR1 does nothing and opens no debugger; SIGUSR2 needs sockets from systemd', async () => {
    await withRelay([], async (relay) => {
      await relay.says(/towpath started/);
      relay.child.kill('SIGUSR1');
      await relay.says(/"signal":"SIGUSR1","msg":"this signal does nothing"/);
      relay.child.kill('SIGUSR2');
      await relay.says(/no next process is started, as that needs sockets from systemd/);
      assert.doesNotMatch(relay.output, /Debugger listening/);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    });
  });

  test('reloads one behind the other, and the end in the middle of one', async () => {
    await withRelay([], async (relay) => {
      await relay.says(/towpath started/);
      for (let i = 0; i < 20; i++) relay.child.kill('SIGHUP');
      relay.child.kill('SIGTERM');
      for (let i = 0; i < 20; i++) relay.child.kill('SIGHUP');
      assert.deepEqual(await relay.end(), [0, null]);
      assert.match(relay.output, /"msg":"stopped"/);
    });
  });
});
