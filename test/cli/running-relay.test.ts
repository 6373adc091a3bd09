import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Clock } from '../../src/base/clock.ts';
import { createProgram } from '../../src/cli/program.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { startRelay, type StartedRelay } from '../../src/start-relay.ts';
import { transport } from '../../src/transport/runtime.ts';
import { formatNodeKey, nodeKeyPair } from '../../src/wire/keys.ts';
import { within } from '../service/support.ts';

async function run(...argv: string[]): Promise<string> {
  const program = await createProgram(argv);
  let output = '';
  for (const command of [program, ...program.commands])
    command.configureOutput({ writeOut: (text) => void (output += text) });
  await program.parseAsync(argv, { from: 'user' });
  return output;
}

async function start(t: TestContext): Promise<{ relay: StartedRelay; url: string }> {
  const relay = await startRelay({ admin: '127.0.0.1:0' });
  t.after(() => relay.close());
  return { relay, url: `http://127.0.0.1:${relay.addresses.admin?.port}` };
}

/** Connects a client; `closed` resolves when the connection has ended. */
async function connect(t: TestContext, relay: StartedRelay): Promise<{ closed: Promise<unknown>; key: string }> {
  const keys = nodeKeyPair(Buffer.alloc(32, 7));
  const { promise: closed, resolve } = Promise.withResolvers<unknown>();
  const options = { transport, clock: new Clock(), url: relay.url, verify: { kind: 'none' }, keys } as const;
  const client = await connectDerp({ ...options, handler: { closed: resolve } });
  t.after(() => client.abort());
  return { closed, key: formatNodeKey(keys.publicKey) };
}

describe('commands about a running relay', () => {
  it('tell its state and who uses it, as text and as JSON', async (t) => {
    const { relay, url } = await start(t);
    await connect(t, relay);
    const status = await run('status', '--url', url);
    assert.match(status, /^state {9}(ready|NOT READY)\n/);
    assert.match(status, /^clients {7}1 connections, 1 node keys$/m);
    const { totals } = JSON.parse(await run('status', '--url', url, '--json')) as { totals: { connections: number } };
    assert.equal(totals.connections, 1);
    const top = await run('top', '--url', url);
    assert.match(top, /^client +from it +to it +dropped +queue +since +address$/m);
    assert.match(top, /127\.0\.0\.1$/m);
    const { connections } = JSON.parse(await run('top', '--url', url, '--json')) as { connections: { total: number } };
    assert.equal(connections.total, 1);
  });

  it('limit the rate of a key and of all, and take it back', async (t) => {
    const { relay, url } = await start(t);
    const { key } = await connect(t, relay);
    assert.match(
      await run('limit', key, '--rate', '1.5M', '--for', '1h', '--url', url),
      /send 1500000 bytes.* until 2\d{3}-/,
    );
    assert.match(await run('limit', key, '--reset', '--url', url), /that of the configuration again/);
    assert.match(
      await run('limit', 'all', '--rate', '500k', '--url', url),
      /perClient\.bytesPerSecond set to 500000 until/,
    );
    assert.match(await run('limit', 'total', '--rate', '0', '--url', url), /totalBytesPerSecond set to 0 until/);
    await assert.rejects(run('limit', key, '--url', url), /either --rate or --reset/);
    await assert.rejects(run('limit', key, '--rate', '1 parsec', '--url', url), /not a rate/);
    await assert.rejects(run('limit', 'everyone', '--rate', '1', '--url', url), /64 hex digits/);
  });

  it('disconnect and deny a key, and take a denial back', async (t) => {
    const { relay, url } = await start(t);
    const { closed, key } = await connect(t, relay);
    assert.match(await run('disconnect', key, '--url', url), /^one connection of \[\w+\] closed\n$/);
    await within(closed, 'the connection ends');
    assert.match(await run('deny', key, '--for', '2h', '--url', url), /denied until 2\d{3}-/);
    await assert.rejects(connect(t, relay));
    assert.match(await run('deny', key, '--for', '0', '--url', url), /no longer denied/);
    await connect(t, relay);
  });

  it('say what is wrong', async (t) => {
    const { url } = await start(t);
    await assert.rejects(run('status', '--url', 'nowhere'), { code: 'TOWPATH_USAGE_ADMIN' });
    await assert.rejects(run('status', '--url', 'http://127.0.0.1:1'), { code: 'TOWPATH_ADMIN_UNREACHABLE' });
    await assert.rejects(run('status', '--admin', 'off'), { code: 'TOWPATH_USAGE_ADMIN' });
    await assert.rejects(run('top', '--url', url, '--sort', 'beauty'), { code: 'TOWPATH_ADMIN_REFUSED' });
    await assert.rejects(run('deny', 'nodekey:0', '--for', 'ever', '--url', url), { code: 'TOWPATH_USAGE_TIME' });
    await assert.rejects(run('drain', '--url', url), { code: 'TOWPATH_ADMIN_REFUSED', message: /another program/ });
  });
});
