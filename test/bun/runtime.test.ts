import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { findRuntime } from '../../src/cli/runtime.ts';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';
import { BUN, needsBun } from './installed.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe('towpath serve --runtime', needsBun, () => {
  for (const [from, to] of [
    ['node', 'bun'],
    ['bun', 'node'],
    ['bun', 'bun'],
  ] as const) {
    it(`from ${from} to ${to}: the same process, signals and exit code`, async () => {
      const program = from === 'bun' ? BUN! : findRuntime('node');
      const relay = new RelayProcess([...FREE_PORTS, '--runtime', to], undefined, program);
      try {
        const started = JSON.parse((await relay.says(/^\{.*"msg":"towpath started"\}/m))[0]) as { runtime: string };
        assert.equal(started.runtime, to);
        await relay.says(/"msg":"ready"/);
        relay.child.kill('SIGHUP');
        await relay.says(/configuration reloaded/);
        assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
        assert.match(relay.output, /"msg":"stopped"/);
      } finally {
        await relay.clean();
      }
    });
  }

  it('passes on what is wrong with the arguments, and refuses what systemd gave', () => {
    const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): [number | null, string] => {
      const main = path.join(ROOT, 'src/main.ts');
      const script = '[ -z "$GIVEN" ] || export LISTEN_PID=$$; exec "$@"';
      const command = ['-c', script, 'sh', process.execPath, main, 'serve', ...args];
      const child = spawnSync('sh', command, { encoding: 'utf8', env: { ...process.env, ...env } });
      return [child.status, child.stderr];
    };
    const other = 'bun' in process.versions ? 'node' : 'bun';
    const [code, text] = run(['--runtime', other, '--config', '/nonexistent/towpath.yaml']);
    assert.equal(code, 2, text);
    assert.match(text, /^towpath: .*\/nonexistent\/towpath\.yaml/);
    assert.equal(run(['--runtime', 'deno'])[0], 2);
    const [refused, why] = run(['--runtime', other], { GIVEN: '1' });
    assert.equal(refused, 1);
    assert.match(why, /Sockets from systemd are lost/);
  });
});

describe('npm run build:binary', needsBun, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-binary-'));
  after(() => rmSync(folder, { recursive: true }));

  it(
    'makes an executable that serves, tests itself, is probed, and ends in good order',
    { timeout: 60_000 },
    async () => {
      const binary = path.join(folder, 'towpath');
      const script = path.join(ROOT, 'scripts/build-binary.ts');
      const built = spawnSync(process.execPath, [script, binary], { encoding: 'utf8' });
      assert.equal(built.status, 0, built.stderr);
      // Outside of the sources and without a PATH, so that it finds only itself.
      const run = (...args: readonly string[]) => spawnSync(binary, args, { encoding: 'utf8', cwd: folder, env: {} });
      assert.match(run('--version').stdout, /^towpath \d+\.\d+\.\d+ \(commit [0-9a-f]{12}, Bun [\d.]+\)\n$/);
      assert.match(run('serve', '--runtime', 'node').stderr, /contains Bun/);
      const relay = new RelayProcess(FREE_PORTS, folder, binary, null);
      try {
        await relay.says(/"msg":"ready"/);
        const port = await relay.port('DERP');
        const probe = run('probe', `https://127.0.0.1:${port}/derp`, '--insecure', '--stun-port', '-1', '--json');
        assert.equal(probe.status, 0, probe.stdout + probe.stderr);
        assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      } finally {
        relay.child.kill('SIGKILL');
      }
    },
  );
});
