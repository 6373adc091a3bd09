import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { TowpathError } from '../../src/base/errors.ts';
import { pause } from '../../src/base/pause.ts';
import { nodeProblems } from '../../src/tailnet/node-readiness.ts';
import { NodePhase, type TailnetNode } from '../../src/tailnet/node.ts';
import { NodeState } from '../../src/tailnet/node-state.ts';
import { Bench, until } from './support.ts';

/** Starts a server that accepts connections and says nothing. Returns its URL. */
async function silentServer(t: TestContext): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function codes(node: TailnetNode): string[] {
  return nodeProblems(node, { addresses: 1, unreachedEndpoints: 0, now: Date.now() }).map(({ code }) => code);
}

/** Makes the directory of the state impossible to write to, also for root. */
function breakDirectory(directory: string): void {
  rmSync(directory, { recursive: true });
  writeFileSync(directory, '');
}

function repairDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
}

describe('a node whose disk or auth key is gone', () => {
  it('goes on when the server forgets it and its state cannot be written', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
    breakDirectory(bench.directory);
    let refusals = 0;
    control.behaviour.map = () => (refusals++ === 0 ? { status: 401, text: 'unknown' } : null);
    control.cut();
    await until(node, () => refusals > 1 && node.phase === NodePhase.Online);
    repairDirectory(bench.directory);
    assert.equal(control.registrations.length, 2);
    assert.ok(bench.lines.some(({ message }) => message.startsWith('the state of the node cannot be written')));
  });

  it('keeps its key when a new one cannot be written', async (t) => {
    const bench = await Bench.open(t);
    const { state } = bench.node();
    const before = state.node.publicKey;
    const text = readFileSync(state.path, 'utf8');
    breakDirectory(bench.directory);
    assert.throws(() => state.rotate(), { code: 'TOWPATH_TAILNET_STATE' });
    assert.deepEqual(state.node.publicKey, before);
    assert.equal(state.previousNodeKey, null);
    repairDirectory(bench.directory);
    // The next change must not write the key that nobody has.
    state.registered();
    const wanted = { ...(JSON.parse(text) as object), isRegistered: true };
    assert.deepEqual(JSON.parse(readFileSync(state.path, 'utf8')), wanted);
  });

  it('does not read its auth key again once it is registered', async (t) => {
    const bench = await Bench.open(t);
    const first = bench.node();
    bench.control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(first));
    first.start();
    await until(first, () => first.phase === NodePhase.Online);
    await first.stop();
    const gone = (): string => {
      throw new TowpathError('TOWPATH_PEER_RELAY_FILE', 'cannot read the auth key /x: ENOENT');
    };
    Object.assign(bench.settings, { readAuthKey: gone });
    const second = bench.node();
    second.start();
    await until(second, () => second.phase === NodePhase.Online);
  });

  it('says that the auth key is at fault, not the server', async (t) => {
    const bench = await Bench.open(t, {
      readAuthKey: () => {
        throw new TowpathError('TOWPATH_PEER_RELAY_FILE', 'cannot read the auth key /x: ENOENT');
      },
    });
    const node = bench.node();
    node.start();
    await until(node, () => node.error !== null);
    assert.deepEqual(codes(node), ['auth_key_missing']);
  });

  it('learns that it was removed, although the server keeps its map stream, and is not ready then', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => node.phase === NodePhase.Online && control.updates.length === 1);
    /** Lets minutes pass up to `toMs`; in each the map stream has a frame, without which the node gives it up. */
    const pass = async (fromMs: number, toMs: number): Promise<void> => {
      for (let ms = fromMs; ms <= toMs; ms += 60_000) {
        bench.skip(ms);
        await until(node, () => bench.clock.now - performance.now() > ms - 30_000);
        const at = Date.now() + ms;
        bench.wallClock = () => at;
        control.broadcast({ KeepAlive: true });
        await until(node, () => node.lastFrameAt === at);
      }
    };
    control.behaviour.update = () => ({ status: 503, text: 'busy' });
    await pass(60_000, 240_000);
    bench.skip(302_000);
    await until(node, () => control.updates.length === 2);
    assert.equal(node.phase, NodePhase.Online, 'another answer changes nothing');
    control.behaviour.update = () => ({ status: 404, text: 'node not found' });
    control.behaviour.register = () => ({ status: 401, text: 'authkey already used' });
    await pass(330_000, 570_000);
    bench.skip(604_000);
    await until(node, () => /already used/.test(node.error ?? ''));
    assert.deepEqual(codes(node), ['registration_refused']);
  });

  it('says so when the server refuses the auth key', async (t) => {
    const bench = await Bench.open(t);
    bench.control.behaviour.register = () => ({ status: 401, text: 'authkey expired' });
    const node = bench.node();
    node.start();
    await until(node, () => node.error !== null);
    assert.deepEqual(codes(node), ['registration_refused']);
    assert.match(node.error ?? '', /authkey expired/);
  });

  it('stays registered when the URL of the server is only written in another way', async (t) => {
    const bench = await Bench.open(t);
    const { url } = bench.control;
    bench.node().state.registered();
    const open = (controlUrl: string): NodeState => NodeState.open(bench.directory, 'home', controlUrl);
    assert.ok(open(`${url.toUpperCase()}/`).isRegistered);
    assert.ok(!open('https://other.example.com').isRegistered);
  });

  it('refuses a state file with a previous key that is none', async (t) => {
    const bench = await Bench.open(t);
    const { path } = bench.node().state;
    const stored = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...stored, previousNodeKey: 'privkey:secret' }));
    assert.throws(() => NodeState.open(bench.directory, 'home', bench.control.url), {
      code: 'TOWPATH_TAILNET_STATE',
      message: /^(?!.*secret).*home\.json cannot be used/,
    });
  });
});

describe('a control server that does not behave', () => {
  it('gets no flood of requests when it sends the node from login to login', async (t) => {
    const bench = await Bench.open(t, { readAuthKey: () => null });
    const { control } = bench;
    let logins = 0;
    control.behaviour.register = () => ({ AuthURL: `https://login.example.com/${++logins}` });
    const node = bench.node();
    node.start();
    await until(node, () => logins > 1);
    const { signal } = new AbortController();
    await pause(bench.clock, 500, signal);
    assert.equal(logins, 2);
    bench.skip(6000);
    await until(node, () => logins > 2);
  });

  it('does not fill the log with its health messages', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    bench.control.behaviour.streamed = (stream) => {
      stream.send(bench.firstFrame(node));
      for (let i = 0; i < 100; i++) stream.send({ Health: ['the same', 'long'.repeat(1000), `another ${i}`] });
      stream.send({ Domain: 'last' });
    };
    node.start();
    await until(node, () => node.netmap.domain === 'last');
    const told = bench.lines.filter(({ message }) => message === 'the control server reports a problem');
    assert.equal(told.length, 20);
    assert.ok(told.every(({ fields }) => JSON.stringify(fields).length < 400));
  });

  it('does not delay the stop when it says nothing', { timeout: 10_000 }, async (t) => {
    const bench = await Bench.open(t, { controlUrl: await silentServer(t) });
    const node = bench.node();
    node.start();
    await pause(bench.clock, 200, new AbortController().signal);
    await node.stop();
    assert.equal(node.phase, NodePhase.Stopped);
  });
});
