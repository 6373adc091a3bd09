import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { nodeProblems } from '../../src/tailnet/node-readiness.ts';
import { NodePhase } from '../../src/tailnet/node.ts';
import { NodeState } from '../../src/tailnet/node-state.ts';
import { formatNodeKey } from '../../src/wire/keys.ts';
import { packed } from './fake-control.ts';
import { Bench, until } from './support.ts';

const PEER = { ID: 2, Key: `nodekey:${'2'.repeat(64)}`, Addresses: ['100.64.0.2/32'] };

describe('a node of a tailnet', () => {
  it('registers with its auth key, publishes its home region, and follows the map', async (t) => {
    const bench = await Bench.open(t, { tags: ['tag:relay'] });
    const { control } = bench;
    const node = bench.node();
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node, { Peers: [PEER] }));
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(node.netmap.peerCount, 1);
    const [registration] = control.registrations;
    assert.deepEqual(registration?.['Auth'], { AuthKey: 'auth-secret' });
    assert.equal(registration['NodeKey'], formatNodeKey(node.state.node.publicKey));
    await until(node, () => control.updates.length > 0);
    const [update] = control.updates;
    assert.equal(update?.['Stream'], false);
    assert.match(JSON.stringify(update['Hostinfo']), /"RequestTags":\["tag:relay"\],"NetInfo":\{"PreferredDERP":900/);
    control.broadcast({ PeersRemoved: [2] });
    await until(node, () => node.netmap.peerCount === 0);
  });

  it('keeps its keys in a file that only its owner can read, and needs no auth key again', async (t) => {
    const bench = await Bench.open(t);
    const first = bench.node();
    bench.control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(first));
    first.start();
    await until(first, () => first.phase === NodePhase.Online);
    await first.stop();
    assert.equal(first.phase, NodePhase.Stopped);
    assert.equal(statSync(first.state.path).mode & 0o777, 0o600);
    assert.ok(!JSON.stringify(bench.lines).includes('auth-secret'));
    const second = bench.node();
    assert.deepEqual(second.state.node.publicKey, first.state.node.publicKey);
    assert.deepEqual(second.state.disco.publicKey, first.state.disco.publicKey);
    second.start();
    await until(second, () => second.phase === NodePhase.Online);
    assert.equal(bench.control.registrations.at(-1)?.['Auth'], undefined);
  });

  it('refuses a state file that cannot be used, without a word of what is in it', async (t) => {
    const bench = await Bench.open(t);
    const { path } = bench.node().state;
    for (const text of [
      '{"machineKey":"privkey:secret',
      '{"version":1}',
      readFileSync(path, 'utf8').replace(/privkey:../, 'privkey:xx'),
    ]) {
      writeFileSync(path, text);
      assert.throws(() => bench.node(), {
        code: 'TOWPATH_TAILNET_STATE',
        message: /^(?!.*secret).*home\.json cannot be used/,
      });
    }
  });

  it('asks somebody to log in, and goes on when that is done', async (t) => {
    const bench = await Bench.open(t, { readAuthKey: () => null });
    const { control } = bench;
    const node = bench.node();
    const login = Promise.withResolvers<null>();
    control.behaviour.register = async (body) => {
      if (body['Followup'] === '') return { AuthURL: 'https://login.example.com/x' };
      await login.promise;
      return { MachineAuthorized: true };
    };
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => node.phase === NodePhase.Login);
    assert.equal(node.loginUrl, 'https://login.example.com/x');
    login.resolve(null);
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(node.loginUrl, null);
    assert.equal(control.registrations.at(-1)?.['Followup'], 'https://login.example.com/x');
  });

  it('waits for an approval', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    bench.control.behaviour.streamed = (stream) =>
      stream.send(bench.firstFrame(node, {}, { MachineAuthorized: false }));
    node.start();
    await until(node, () => node.phase === NodePhase.Approval);
    bench.control.broadcast(bench.firstFrame(node));
    await until(node, () => node.phase === NodePhase.Online);
  });

  it('takes a new node key when the old one has expired', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    const old = formatNodeKey(node.state.node.publicKey);
    control.behaviour.register = (body) =>
      body['NodeKey'] === old ? { NodeKeyExpired: true } : { MachineAuthorized: true };
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(control.registrations.at(-1)?.['OldNodeKey'], old);
    assert.notEqual(formatNodeKey(node.state.node.publicKey), old);
    assert.equal(node.state.previousNodeKey, null);
  });

  it('does not renew its node key by itself while tailnet lock is on', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    const old = formatNodeKey(node.state.node.publicKey);
    const soon = { KeyExpiry: new Date(Date.now() + 7_200_000).toISOString() };
    bench.control.behaviour.streamed = (stream) =>
      stream.send(bench.firstFrame(node, { TKAInfo: { Head: 'x' } }, soon));
    node.start();
    await until(node, () => bench.lines.some(({ message }) => message.includes('tailnet lock is on')));
    assert.equal(bench.control.registrations.length, 1);
    assert.equal(formatNodeKey(node.state.node.publicKey), old);
  });

  it('says what to sign when the answer to the registration wants a signature (addendum §6), and goes on after it', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    const key = formatNodeKey(node.state.node.publicKey);
    let isSigned = false;
    bench.control.behaviour.register = () =>
      isSigned ? { MachineAuthorized: true } : { MachineAuthorized: true, NodeKeySignature: 'AAAA' };
    bench.control.behaviour.streamed = (stream) =>
      stream.send(bench.firstFrame(node, { TKAInfo: { Head: 'x' } }, { KeySignature: 'AAAA' }));
    node.start();
    await until(node, () => node.error !== null);
    const facts = { addresses: 1, unreachedEndpoints: 0, now: Date.now() };
    const [problem, ...more] = nodeProblems(node, facts);
    assert.equal(problem?.code, 'tailnet_lock');
    assert.match(problem.hint, new RegExp(`tailscale lock sign ${key}`));
    assert.deepEqual(more, []);
    assert.equal(node.state.isRegistered, false);
    isSigned = true;
    bench.skip(61_000);
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(formatNodeKey(node.state.node.publicKey), key, 'what was signed stays');
    assert.deepEqual(
      nodeProblems(node, facts).filter(({ code }) => code === 'tailnet_lock'),
      [],
    );
  });

  it('names the key that the server knows, however often it takes a new one', async (t) => {
    const bench = await Bench.open(t);
    const { state } = bench.node();
    const known = state.node.publicKey;
    state.rotate();
    state.rotate();
    assert.deepEqual(state.previousNodeKey, known);
    state.restore();
    assert.deepEqual(state.node.publicKey, known);
  });

  it('renews its node key a day before it expires (§19.26), and goes on with the old one when that is refused', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    const old = formatNodeKey(node.state.node.publicKey);
    let isRefused = true;
    control.behaviour.register = (body) =>
      body['OldNodeKey'] === old && isRefused ? { Error: 'not now, auth-secret' } : { MachineAuthorized: true };
    const soon = { KeyExpiry: new Date(Date.now() + 7_200_000).toISOString() };
    control.behaviour.streamed = (stream) =>
      stream.send(bench.firstFrame(node, {}, formatNodeKey(node.state.node.publicKey) === old ? soon : {}));
    node.start();
    await until(node, () => control.registrations.length === 2);
    await until(node, () => bench.lines.some(({ message }) => message.includes('could not be renewed')));
    assert.equal(formatNodeKey(node.state.node.publicKey), old);
    isRefused = false;
    bench.wallClock = () => Date.now() + 3_601_000;
    control.broadcast({ KeepAlive: true });
    await until(
      node,
      () => formatNodeKey(node.state.node.publicKey) !== old && node.netmap.self?.keyExpiresAt === null,
    );
    assert.equal(node.phase, NodePhase.Online);
    assert.ok(!JSON.stringify(bench.lines).includes('auth-secret'));
  });

  it('skips an early payload', async (t) => {
    const bench = await Bench.open(t);
    const json = Buffer.from('{"nodeKeyChallenge":"chalpub:00"}');
    const header = Buffer.from('ffffff545300000000', 'hex');
    header.writeUInt32BE(json.length, 5);
    bench.control.behaviour.earlyPayload = Buffer.concat([header, json]);
    const node = bench.node();
    bench.control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
  });

  it('receives a first map of megabytes', async (t) => {
    const bench = await Bench.open(t, { peers: 10_000, mapBytes: 8_000_000 });
    const node = bench.node();
    const peers = Array.from({ length: 5000 }, (_, i) => ({
      ...PEER,
      ID: i + 2,
      Key: `nodekey:${i.toString(16).padStart(64, '1')}`,
      Noise: 'x'.repeat(500),
    }));
    bench.control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node, { Peers: peers }));
    node.start();
    await until(node, () => node.netmap.peerCount === 5000);
  });
});

describe('a node and a control server in trouble', () => {
  it('keeps the last map while the server is away, and comes back', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    let streams = 0;
    control.behaviour.streamed = (stream) => {
      streams++;
      stream.send(bench.firstFrame(node, { Peers: [{ ...PEER, ID: 1 + streams }] }));
    };
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
    control.cut();
    await until(node, () => node.phase === NodePhase.Connecting);
    assert.equal(node.netmap.peerCount, 1);
    assert.notEqual(node.error, null);
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(node.netmap.peerCount, 1);
    assert.equal(node.error, null);
    assert.equal(control.registrations.length, 1);
  });

  it('waits as long as a 503 with Retry-After says (§19.18), and registers again after a 404', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    let maps = 0;
    control.behaviour.map = () => {
      maps++;
      if (maps === 1) return { status: 503, headers: { 'retry-after': '1' } };
      return maps === 2 ? { status: 404, text: 'node not found' } : null;
    };
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => maps === 1 && node.error !== null);
    assert.match(node.error ?? '', /answered 503 to \/machine\/map/);
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(control.registrations.length, 2);
    assert.deepEqual(control.registrations[1]?.['Auth'], { AuthKey: 'auth-secret' });
  });

  it('waits as long as a 429 with Retry-After says to a registration and to a map request (addendum E3)', async (t) => {
    const bench = await Bench.open(t);
    const { control } = bench;
    const node = bench.node();
    const refusal = { status: 429, headers: { 'retry-after': '1' }, text: 'slow down' };
    const askedAt: number[] = [];
    const refuseOnce = (): typeof refusal | null => {
      askedAt.push(performance.now());
      return askedAt.length % 2 === 1 ? refusal : null;
    };
    control.behaviour.register = () => refuseOnce() ?? { MachineAuthorized: true };
    control.behaviour.map = refuseOnce;
    control.behaviour.streamed = (stream) => stream.send(bench.firstFrame(node));
    node.start();
    await until(node, () => askedAt.length === 1 && node.error !== null);
    assert.match(node.error ?? '', /answered 429 to \/machine\/register/);
    await until(node, () => askedAt.length === 3 && node.error !== null);
    assert.match(node.error ?? '', /answered 429 to \/machine\/map/);
    await until(node, () => node.phase === NodePhase.Online);
    assert.equal(askedAt.length, 4);
    for (const [first, again] of [
      [0, 1],
      [2, 3],
    ] as const)
      assert.ok(askedAt[again]! - askedAt[first]! >= 990, 'not earlier than the server says');
  });

  it('ends a session that brings no frame for two minutes, whatever HTTP/2 pings there are (§19.12)', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    let streams = 0;
    bench.control.behaviour.streamed = (stream) => {
      streams++;
      stream.send(bench.firstFrame(node));
    };
    node.start();
    await until(node, () => node.phase === NodePhase.Online);
    const pinging = setInterval(() => bench.control.ping(), 20);
    t.after(() => clearInterval(pinging));
    bench.skip(121_000);
    await until(node, () => /no frame for 120 s/.test(node.error ?? ''));
    await until(node, () => streams === 2);
  });

  it('says why it is refused, without the auth key', async (t) => {
    const bench = await Bench.open(t);
    bench.control.behaviour.register = () => ({ Error: 'auth-secret is not valid' });
    const node = bench.node();
    node.start();
    await until(node, () => node.error !== null);
    assert.match(node.error ?? '', /refuses the registration: \*{8} is not valid/);
  });

  const wrong: readonly [string, RegExp, (bench: Bench) => void][] = [
    ['no key', /holds no key/, ({ control }) => (control.behaviour.key = '{}')],
    ['a key that is no JSON', /holds no key/, ({ control }) => (control.behaviour.key = '<html>')],
    ['another response', /not a handshake/, ({ control }) => (control.behaviour.handshake = Buffer.alloc(51))],
    [
      'a response of nobody',
      /handshake .*failed/,
      ({ control }) => (control.behaviour.handshake = Buffer.concat([Buffer.from([2, 0, 48]), Buffer.alloc(48, 9)])),
    ],
    [
      'a refusal in words',
      /refuses the handshake: too old/,
      ({ control }) => (control.behaviour.handshake = Buffer.from('\u0003\0\u0007too old', 'latin1')),
    ],
    [
      'a registration that is no JSON',
      /registration is not JSON/,
      ({ control }) => (control.behaviour.register = () => ({ status: 200, text: 'x' })),
    ],
    [
      'a registration of a wrong type',
      /registration .* wrong at AuthURL/,
      ({ control }) => (control.behaviour.register = () => ({ AuthURL: 7 })),
    ],
    [
      'an early payload that is too long',
      /early payload|closed|cancel/,
      ({ control }) => (control.behaviour.earlyPayload = Buffer.from('ffffff5453ffffffff', 'hex')),
    ],
    [
      'a frame that is too long',
      /peerRelay\.limits\.mapBytes/,
      ({ control }) => (control.behaviour.streamed = (stream) => stream.raw(Buffer.alloc(4, 0xff))),
    ],
    [
      'a frame that is no zstd',
      /not zstd/,
      ({ control }) => (control.behaviour.streamed = (stream) => stream.raw(packed({}, false))),
    ],
    [
      'a frame of a wrong type',
      /wrong at Peers/,
      ({ control }) => (control.behaviour.streamed = (stream) => stream.send({ Peers: 7 })),
    ],
  ];
  for (const [what, pattern, arrange] of wrong) {
    it(`gets over ${what}`, async (t) => {
      const bench = await Bench.open(t);
      const node = bench.node();
      const good = { ...bench.control.behaviour };
      arrange(bench);
      node.start();
      await until(node, () => node.error !== null);
      assert.match(node.error ?? '', pattern);
      Object.assign(bench.control.behaviour, good, {
        streamed: (stream: { send(frame: object): void }) => stream.send(bench.firstFrame(node)),
      });
      await until(node, () => node.phase === NodePhase.Online);
    });
  }

  it('does not wait for a state file that is a pipe', async (t) => {
    const bench = await Bench.open(t);
    execFileSync('mkfifo', [join(bench.directory, 'pipe.json')]);
    assert.throws(() => NodeState.open(bench.directory, 'pipe', 'https://c.example'), {
      code: 'TOWPATH_TAILNET_STATE',
      message: /pipe\.json cannot be used: this is a named pipe, not a file$/,
    });
  });

  it('logs out', async (t) => {
    const bench = await Bench.open(t);
    const node = bench.node();
    assert.equal((await node.logIn(() => {})).kind, 'registered');
    await node.logOut();
    assert.match(String(bench.control.registrations.at(-1)?.['Expiry']), /^1971/);
    assert.equal(NodeState.peek(bench.directory, 'home')?.isRegistered, false);
  });
});
