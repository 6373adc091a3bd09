import assert from 'node:assert/strict';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { transport } from '../../src/transport/runtime.ts';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

/** Runs `body` with a relay process and removes its files afterwards. */
async function withRelay(
  args: readonly string[],
  body: (relay: RelayProcess) => Promise<void>,
  folder?: string,
): Promise<void> {
  const relay = new RelayProcess(args, folder);
  try {
    await body(relay);
  } finally {
    await relay.clean();
  }
}

suite('towpath serve', () => {
  test('starts, prints what an operator needs, tests itself, and ends with 0 on SIGTERM', async () => {
    await withRelay(FREE_PORTS, async (relay) => {
      const ready = await relay.says(/^\{.*"msg":"ready"\}/m);
      const times = JSON.parse(ready[0]) as Record<string, string>;
      for (const step of ['tls', 'connect', 'packet', 'stun']) assert.match(times[step]!, /^\d+\.\d ms$/);
      for (const part of [/public key {2}nodekey:[0-9a-f]{64}/, /pin {9}sha256-raw:[0-9a-f]{64}/, /"derpMap": \{/]) {
        assert.match(relay.output, part);
      }
      const { mode } = statSync(path.join(relay.folder, 'derper.json'));
      assert.equal(mode & 0o777, 0o600);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      assert.match(relay.output, /"msg":"stopped"/, 'the log is flushed');
    });
  });

  test('SIGHUP reads the configuration again: a new rate limit holds, a broken file changes nothing', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-e2e-'));
    const file = path.join(folder, 'towpath.yaml');
    writeFileSync(file, 'fairness: { perClient: { bytesPerSecond: 70000 } }\n');
    const body = async (relay: RelayProcess): Promise<void> => {
      const clock = new Clock();
      const port = await relay.port('DERP');
      const advised = async (): Promise<number> => {
        const client = await connectDerp({
          transport,
          clock,
          url: `https://127.0.0.1:${port}/derp`,
          verify: { kind: 'none' },
        });
        client.abort();
        return client.facts.serverInfo.bytesPerSecond;
      };
      assert.equal(await advised(), 70_000);
      writeFileSync(file, 'fairness: { perClient: { bytesPerSecond: 90000 } }\n');
      relay.child.kill('SIGHUP');
      await relay.says(/configuration reloaded/);
      assert.equal(await advised(), 90_000);
      writeFileSync(file, 'fairness: { perClient: { bytesPerSecond: often } }\n');
      relay.child.kill('SIGHUP');
      await relay.says(/the old one stays/);
      assert.equal(await advised(), 90_000, '§9.105');
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    };
    await withRelay([...FREE_PORTS, '--no-self-test', '--config', file], body, folder);
  });

  test('a second signal ends at once', async () => {
    await withRelay(
      [...FREE_PORTS, '--no-self-test', '--drain-seconds', '60', '--drain-closes-per-second', '0'],
      async (relay) => {
        const port = await relay.port('DERP');
        const clock = new Clock();
        const client = await connectDerp({
          transport,
          clock,
          url: `https://127.0.0.1:${port}/derp`,
          verify: { kind: 'none' },
        });
        relay.child.kill('SIGTERM');
        await relay.says(/draining/);
        const ready = await fetch(`http://127.0.0.1:${await relay.port('admin')}/readyz`);
        assert.equal(ready.status, 503);
        assert.match(await ready.text(), /the relay is stopping/);
        assert.deepEqual(await relay.end('SIGINT'), [130, null]);
        client.abort();
      },
    );
  });

  test('a port in use: one clear line and what to do, exit code 1', async () => {
    await withRelay([...FREE_PORTS, '--no-self-test'], async (relay) => {
      const port = await relay.port('DERP');
      await withRelay([...FREE_PORTS.slice(2), '--listen', `127.0.0.1:${port}`], async (second) => {
        assert.deepEqual(await second.end(), [1, null]);
        const lines = second.output
          .trim()
          .split('\n')
          .filter((line) => !line.startsWith('{'));
        assert.match(lines[0]!, new RegExp(`^towpath: .*127\\.0\\.0\\.1:${port}.*in use`));
        assert.ok(lines.length <= 2, second.output);
        assert.doesNotMatch(second.output, /\n +at /);
      });
    });
  });

  test('a key file that is no key: its name, what to do, and it is left alone', async () => {
    await withRelay([...FREE_PORTS], async (first) => {
      await first.says(/"msg":"ready"/);
      await first.end('SIGTERM');
      writeFileSync(path.join(first.folder, 'derper.json'), '{"PrivateKey": 5}');
      const relay = new RelayProcess(FREE_PORTS, first.folder);
      assert.deepEqual(await relay.end(), [1, null]);
      assert.match(relay.output, /^towpath: .*derper\.json/m);
      assert.doesNotMatch(relay.output, /\n +at /);
    });
  });

  test('a wrong configuration: exit code 2 and every problem on a line', async () => {
    await withRelay(['--log-level', 'chatty', '--derp-port', '70000'], async (relay) => {
      assert.deepEqual(await relay.end(), [2, null]);
      assert.match(relay.output, /log-level/);
      assert.match(relay.output, /derp-port/);
    });
  });
});
