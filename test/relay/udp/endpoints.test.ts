import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { GrantedEndpoint } from '../../../src/relay/udp/commands.ts';
import { nodeKeyPair } from '../../../src/wire/keys.ts';
import { data, RelayPeer } from './relay-peer.ts';
import { boundPair, RulesWorld } from './rules-world.ts';

const A = ['192.0.2.1', 1000] as const;
const B = ['192.0.2.2', 2000] as const;

suite('allocation (peer relay §5.2)', () => {
  test('of one pair gives one endpoint, in either order and for either client (peer relay §19.2)', () => {
    const world = new RulesWorld();
    const [a, b] = [new RelayPeer(), new RelayPeer()];
    const first = world.allocate(a, b, 'a');
    world.pass(20_000);
    assert.deepEqual(world.allocate(b, a, 'b'), first);
    assert.deepEqual(world.allocate(a, b, 'a'), first);
    assert.ok(Buffer.compare(Buffer.from(first.clientKeys[0]), Buffer.from(first.clientKeys[1])) < 0);
    assert.equal(first.bindLifetimeMs, 30_000);
    const { sides, asker } = world.snapshot().endpoints[0]!;
    assert.equal(asker, 'a');
    assert.deepEqual(sides.map(({ node }) => node).sort(), ['a', 'b']);
    const other = world.allocate(a, new RelayPeer());
    assert.ok(other.lamportId > first.lamportId);
    assert.notEqual(other.vni, first.vni);
  });

  test('is refused for keys that nobody can have, and the relay lives (peer relay §19.14)', () => {
    const world = new RulesWorld();
    const a = new RelayPeer();
    const withKey = (key: Buffer) => Object.assign(new RelayPeer(), { keys: { ...a.keys, publicKey: key } });
    const lowOrder = 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800';
    assert.equal(world.refusal(a, withKey(Buffer.alloc(32))), 'bad_key');
    assert.equal(world.refusal(a, withKey(Buffer.from(lowOrder, 'hex'))), 'bad_key');
    assert.equal(world.refusal(withKey(Buffer.from(lowOrder, 'hex')), a), 'bad_key');
    assert.equal(world.refusal(a, a), 'bad_key');
    const own = nodeKeyPair(Buffer.from(world.exportState().serverPrivateKey)).publicKey;
    assert.equal(world.refusal(a, withKey(own)), 'bad_key');
    assert.equal(world.snapshot().connecting, 0);
    world.allocate(a, new RelayPeer());
  });

  test('is limited in rate for each node; a known pair costs nothing', () => {
    const world = new RulesWorld({ endpoints: 100, endpointsPerNode: 100, allocationsPerMinute: 6 });
    const a = new RelayPeer();
    const b = new RelayPeer();
    for (let i = 0; i < 10; i++) world.allocate(a, b);
    for (let i = 0; i < 5; i++) world.allocate(a, new RelayPeer());
    assert.equal(world.refusal(a, new RelayPeer()), 'allocation_rate');
    assert.equal(world.refusal(new RelayPeer(), new RelayPeer(), 'c'), null);
    world.allocate(a, b);
    world.pass(10_000);
    assert.equal(world.refusal(a, new RelayPeer()), null);
    assert.equal(world.refusal(a, new RelayPeer()), 'allocation_rate');
  });

  test('at a limit the endpoint that was silent for longest makes room, unless all are in use', () => {
    for (const [limits, refusal] of [
      [{ endpoints: 2 }, 'endpoint_limit'],
      [{ endpointsPerNode: 2 }, 'node_limit'],
      [{ endpointsPerPair: 2 }, 'pair_limit'],
    ] as const) {
      const world = new RulesWorld(limits);
      const { a, b, endpoint } = boundPair(world);
      world.allocate(b, a, 'b');
      const [c, d] = [new RelayPeer(), new RelayPeer()];
      const second = world.allocate(c, d, 'a', 'b');
      world.bind(c, d, second, '192.0.2.3', 1);
      world.bind(d, c, second, '192.0.2.4', 1);
      assert.equal(world.refusal(new RelayPeer(), new RelayPeer(), 'a', 'b'), refusal);
      world.pass(61_000);
      world.send(...A, data(endpoint.vni));
      const third = world.allocate(new RelayPeer(), new RelayPeer(), 'a', 'b');
      const left = world.snapshot().endpoints.map(({ vni }) => vni);
      assert.deepEqual(left.sort(), [endpoint.vni, third.vni].sort(), refusal);
    }
  });
});

suite('the end of endpoints (peer relay §5.6)', () => {
  test('not bound: after 30 to 60 s; bound: when either side is silent for the idle time (peer relay §19.8)', () => {
    const world = new RulesWorld({ idleSeconds: 300 });
    const { endpoint } = boundPair(world);
    const unbound = world.allocate(new RelayPeer(), new RelayPeer());
    const payload = data(endpoint.vni);
    world.pass(31_000);
    assert.equal(world.snapshot().connecting, 1);
    world.pass(27_000);
    assert.equal(world.snapshot().connecting, 0);
    assert.deepEqual(world.send(...A, data(unbound.vni)), { verdict: 'drop', reason: 'unknown_vni' });
    for (let i = 0; i < 8; i++) {
      world.pass(29_000);
      assert.equal(world.send(...A, payload).verdict, 'forward');
    }
    world.pass(20_000);
    assert.deepEqual(world.send(...A, payload), { verdict: 'drop', reason: 'unknown_vni' }, 'B was silent');
  });

  test('an idle hour is survived by default, and the first packet then passes (peer relay §19.27)', () => {
    const world = new RulesWorld();
    const { endpoint } = boundPair(world);
    world.pass(3_590_000);
    assert.equal(world.send(...A, data(endpoint.vni)).verdict, 'forward');
  });

  test('a node that may no more: all that it asked for or takes part in (peer relay §19.25)', () => {
    const world = new RulesWorld();
    const { endpoint } = boundPair(world);
    const b = new RelayPeer();
    const c = new RelayPeer();
    world.allocate(b, c, 'b', 'a');
    const other = world.allocate(c, new RelayPeer(), 'c');
    world.command({ kind: 'revoke', nodes: ['a', 'nobody'] });
    assert.deepEqual(
      world.snapshot().endpoints.map(({ vni }) => vni),
      [other.vni],
    );
    assert.deepEqual(world.send(...A, data(endpoint.vni)), { verdict: 'drop', reason: 'unknown_vni' });
  });

  test('nodes are forgotten once nothing is theirs', () => {
    const world = new RulesWorld({ endpoints: 4, endpointsPerNode: 2 });
    for (let i = 0; i < 500; i++) {
      world.allocate(new RelayPeer(), new RelayPeer(), `node ${i}`, `other ${i}`);
      world.pass(61_000);
    }
    world.pass(120_000);
    assert.equal(world.snapshot().nodes, 0);
  });
});

suite('a restart (peer relay §7.3)', () => {
  test('bound pairs go on without a handshake, and lamport ids rise', () => {
    const world = new RulesWorld();
    const { a, b, endpoint } = boundPair(world);
    const pending = world.allocate(a, new RelayPeer());
    world.restart();
    const payload = data(endpoint.vni);
    assert.deepEqual(world.send(...A, payload), { verdict: 'forward', to: '192.0.2.2:2000', bytes: payload.length });
    assert.equal(world.send(...B, payload).verdict, 'forward');
    assert.deepEqual(world.allocate(a, b), endpoint);
    const next = world.allocate(a, new RelayPeer());
    assert.ok(next.lamportId > pending.lamportId);
    assert.deepEqual(next.serverDisco, endpoint.serverDisco);
    world.bind(a, b, endpoint, '192.0.2.7', 7, 3);
  });

  test('in the middle of a handshake: the challenge of before is good', () => {
    const world = new RulesWorld();
    const [a, b] = [new RelayPeer(), new RelayPeer()];
    const endpoint = world.allocate(a, b);
    const challenge = world.send(...A, a.bind(endpoint, b));
    assert.ok(challenge.verdict === 'reply');
    world.restart();
    assert.deepEqual(world.send(...A, a.answer(endpoint, b, challenge.reply)), { verdict: 'drop', reason: null });
  });

  test('the time between counts for what is too old', () => {
    const world = new RulesWorld({ idleSeconds: 300 });
    boundPair(world);
    world.pass(200_000);
    const state = world.exportState();
    world.restart(state, 50_000);
    world.pass(1000);
    assert.equal(world.snapshot().open, 1);
    world.restart(state, 101_000);
    world.pass(1000);
    assert.equal(world.snapshot().open, 0);
  });

  test('an address whose port is gone takes its endpoint with it', () => {
    const world = new RulesWorld();
    const kept = boundPair(world);
    world.localPort = 443;
    const lost = boundPair(world);
    world.ports = [3478];
    world.restart();
    assert.deepEqual(
      world.snapshot().endpoints.map(({ vni }) => vni),
      [kept.endpoint.vni],
    );
    assert.equal(world.send(...A, data(lost.endpoint.vni)).verdict, 'drop');
  });

  test('without what was left: another key, and no endpoint', () => {
    const world = new RulesWorld();
    const { a, b, endpoint } = boundPair(world);
    world.restart(null);
    assert.equal(world.send(...A, data(endpoint.vni)).verdict, 'drop');
    assert.notDeepEqual(world.allocate(a, b).serverDisco, endpoint.serverDisco);
  });
});

suite('the state of endpoints', () => {
  test('is bounded and sound whatever nodes, time and restarts do', () => {
    const peers = Array.from({ length: 5 }, () => new RelayPeer());
    const peer = fc.nat(4);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('allocate' as const), a: peer, b: peer }),
      fc.record({ kind: fc.constant('bind' as const), a: peer, b: peer, port: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant('send' as const), a: peer, b: peer, port: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(1, 8, 40, 70) }),
      fc.record({ kind: fc.constant('revoke' as const), a: peer }),
      fc.record({ kind: fc.constant('restart' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = new RulesWorld({ endpoints: 4, endpointsPerNode: 3, endpointsPerPair: 2, idleSeconds: 100 });
        const known = new Map<string, GrantedEndpoint>();
        const nameOf = (a: number, b: number): string => [a, b].sort().join(' ');
        let lamportId = 0;
        for (const action of steps) {
          if (action.kind === 'pass') world.pass(action.seconds * 1000);
          else if (action.kind === 'revoke') world.command({ kind: 'revoke', nodes: [`n${action.a}`] });
          else if (action.kind === 'restart') world.restart();
          else {
            const [a, b] = [peers[action.a]!, peers[action.b]!];
            if (action.kind === 'allocate') {
              const answer = world.ask(a, b, `n${action.a}`, `n${action.b}`);
              if (answer.kind !== 'granted') continue;
              const before = known.get(nameOf(action.a, action.b));
              if (before?.vni !== answer.endpoint.vni) assert.ok(answer.endpoint.lamportId > lamportId);
              lamportId = Math.max(lamportId, answer.endpoint.lamportId);
              known.set(nameOf(action.a, action.b), answer.endpoint);
            } else {
              const endpoint = known.get(nameOf(action.a, action.b));
              if (endpoint === undefined) continue;
              const ip = `192.0.2.${action.a}`;
              if (action.kind === 'send') world.send(ip, action.port, data(endpoint.vni));
              else {
                const outcome = world.send(ip, action.port, a.bind(endpoint, b));
                if (outcome.verdict === 'reply') world.send(ip, action.port, a.answer(endpoint, b, outcome.reply));
              }
            }
          }
          const { endpoints, nodes } = world.snapshot();
          assert.ok(endpoints.length <= 4 && nodes <= 5);
          assert.equal(new Set(endpoints.map(({ vni }) => vni)).size, endpoints.length);
          for (const { state, sides } of endpoints) {
            assert.equal(
              state === 'open',
              sides.every(({ address }) => address !== ''),
            );
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

test('what each node has sent and received counts once, also when its endpoint has ended', () => {
  const world = new RulesWorld();
  const taken = (): Record<string, readonly number[]> => {
    const answer = world.traffic();
    return Object.fromEntries(
      answer.map((node) => [
        node.node,
        [node.sentBytes, node.sentPackets, node.receivedBytes, node.receivedPackets] as const,
      ]),
    );
  };
  const [a, b] = [new RelayPeer(), new RelayPeer()];
  const endpoint = world.allocate(a, b, 'a', 'b');
  world.bind(a, b, endpoint, ...A);
  world.bind(b, a, endpoint, ...B);
  assert.deepEqual(taken(), {});
  const payload = data(endpoint.vni);
  const bytes = payload.length;
  for (let i = 0; i < 3; i++) world.send(...A, payload);
  world.send(...B, payload);
  assert.deepEqual(taken(), { a: [3 * bytes, 3, bytes, 1], b: [bytes, 1, 3 * bytes, 3] });
  assert.deepEqual(taken(), {});
  world.send(...A, payload);
  world.command({ kind: 'revoke', nodes: ['b'] });
  assert.deepEqual(taken(), { a: [bytes, 1, 0, 0], b: [0, 0, bytes, 1] });
});
