import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { DiscoType } from '../../../src/wire/disco-messages.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { data, RelayPeer } from './relay-peer.ts';
import { boundPair, RulesWorld } from './rules-world.ts';

const dropped = (reason: string) => ({ verdict: 'drop', reason });
const A = ['192.0.2.1', 1000] as const;
const B = ['192.0.2.2', 2000] as const;

suite('binding (peer relay §5.4)', () => {
  test('from two addresses with one generation: two challenges, either is good, one address is bound (peer relay §19.3)', () => {
    const world = new RulesWorld();
    const [a, b] = [new RelayPeer(), new RelayPeer()];
    const endpoint = world.allocate(a, b);
    const bind = a.bind(endpoint, b);
    const first = world.send('192.0.2.1', 1000, bind);
    const second = world.send('192.0.2.9', 1000, bind);
    assert.ok(first.verdict === 'reply' && second.verdict === 'reply');
    assert.equal(first.reply.length, bind.length);
    assert.deepEqual(world.send('192.0.2.9', 1000, a.answer(endpoint, b, second.reply)), {
      verdict: 'drop',
      reason: null,
    });
    const late = a.answer(endpoint, b, first.reply);
    assert.deepEqual(world.send('192.0.2.1', 1000, late), dropped('wrong_generation'));
    world.bind(b, a, endpoint, ...B);
    const payload = data(endpoint.vni);
    assert.deepEqual(world.send(...B, payload), { verdict: 'forward', to: '192.0.2.9:1000', bytes: payload.length });
    assert.deepEqual(world.send('192.0.2.1', 1000, payload), dropped('unknown_source'));
  });

  test('an answer is good for its address, generation, endpoint and two rotations of the secret (peer relay §19.4)', () => {
    const world = new RulesWorld({ idleSeconds: 36_000 });
    const { a, b, endpoint } = boundPair(world);
    const other = world.allocate(new RelayPeer(), b, 'c');
    const challengeFor = (generation: number): Buffer => {
      const outcome = world.send(...A, a.bind(endpoint, b, generation));
      assert.ok(outcome.verdict === 'reply');
      return a.answer(endpoint, b, outcome.reply);
    };
    assert.deepEqual(world.send('192.0.2.7', 1000, challengeFor(2)), dropped('wrong_challenge'));
    assert.deepEqual(world.send('192.0.2.1', 1001, challengeFor(3)), dropped('wrong_challenge'));
    const old = challengeFor(4);
    const latest = challengeFor(5);
    assert.deepEqual(world.send(...A, old), dropped('wrong_generation'));
    assert.deepEqual(world.send(...A, latest), { verdict: 'drop', reason: null });
    assert.deepEqual(world.send(...A, latest), dropped('wrong_generation'), 'used');
    const wrongPlace = a.control(DiscoType.Answer, endpoint, b, { generation: 6, headerVni: other.vni });
    assert.deepEqual(world.send(...A, wrongPlace), dropped('unknown_key'));
    const late = challengeFor(6);
    world.pass(130_000);
    assert.deepEqual(world.send(...A, late), { verdict: 'drop', reason: null }, 'the secret before is good');
    const tooLate = challengeFor(7);
    world.pass(250_000);
    assert.deepEqual(world.send(...A, tooLate), dropped('wrong_challenge'));
  });

  test('each fault of a control packet is dropped with its reason', () => {
    const world = new RulesWorld();
    const { a, b, endpoint } = boundPair(world);
    const { Bind, Challenge } = DiscoType;
    const stranger = generateNodeKeyPair();
    const cases: [string, Buffer][] = [
      ['wrong_generation', a.control(Bind, endpoint, b, { generation: 0 })],
      ['wrong_vni', a.control(Bind, endpoint, b, { vni: endpoint.vni ^ 1 })],
      ['wrong_remote_key', a.control(Bind, endpoint, a)],
      ['unexpected_message', a.control(Challenge, endpoint, b)],
      ['unknown_key', a.control(Bind, endpoint, b, { key: stranger })],
      ['unknown_vni', a.control(Bind, endpoint, b, { headerVni: endpoint.vni ^ 0x01_00_00 })],
      ['bad_box', Buffer.concat([a.bind(endpoint, b).subarray(0, -1), Buffer.of(0)])],
      ['bad_box', a.bind(endpoint, b).subarray(0, 75)],
      ['control_not_disco', a.bind(endpoint, b).subarray(0, 69)],
      ['control_not_disco', Buffer.concat([a.bind(endpoint, b).subarray(0, 8), Buffer.alloc(152)])],
      ['short', Buffer.of(7)],
      ['short', Buffer.alloc(0)],
      ['not_geneve', Buffer.alloc(100)],
    ];
    for (const [reason, packet] of cases) assert.deepEqual(world.send('192.0.2.99', 9, packet), dropped(reason));
    const payload = data(endpoint.vni);
    assert.deepEqual(world.send(...A, payload), { verdict: 'forward', to: '192.0.2.2:2000', bytes: payload.length });
    assert.equal(world.snapshot().drops['bad_box'], 2);
  });

  test('an endpoint takes control packets at a limited rate, and the traffic of others goes on', () => {
    const world = new RulesWorld();
    const { endpoint } = boundPair(world);
    const [c, d] = [new RelayPeer(), new RelayPeer()];
    const attacked = world.allocate(c, d, 'c');
    const bind = c.bind(attacked, d);
    let replies = 0;
    for (let i = 0; i < 1000; i++) if (world.send('203.0.113.1', i + 1, bind).verdict === 'reply') replies++;
    assert.ok(replies >= 20 && replies <= 200, `${replies} replies`);
    assert.equal(world.snapshot().drops['control_rate'], 1000 - replies);
    assert.equal(world.send(...A, data(endpoint.vni)).verdict, 'forward');
    world.pass(1000);
    assert.equal(world.send('203.0.113.1', 1, bind).verdict, 'reply');
  });
});

suite('data (peer relay §5.5)', () => {
  test('passes once both are bound, to the other side, and from no third address (peer relay §19.5)', () => {
    const world = new RulesWorld();
    const [a, b] = [new RelayPeer(), new RelayPeer()];
    const endpoint = world.allocate(a, b);
    const payload = data(endpoint.vni);
    assert.deepEqual(world.send(...A, payload), dropped('not_bound'));
    world.bind(a, b, endpoint, ...A);
    assert.deepEqual(world.send(...A, payload), dropped('not_bound'));
    world.bind(b, a, endpoint, ...B);
    assert.deepEqual(world.send(...A, payload), { verdict: 'forward', to: '192.0.2.2:2000', bytes: payload.length });
    assert.deepEqual(world.send(...B, payload), { verdict: 'forward', to: '192.0.2.1:1000', bytes: payload.length });
    assert.deepEqual(world.send('192.0.2.1', 1001, payload), dropped('unknown_source'));
    assert.deepEqual(world.send('192.0.2.3', 1000, payload), dropped('unknown_source'));
    assert.deepEqual(world.send('::c000:201', 1000, payload), dropped('unknown_source'));
    const { endpoints, forwarded } = world.snapshot();
    assert.equal(endpoints[0]!.state, 'open');
    assert.deepEqual(forwarded[0], {
      transportIn: 'udp4',
      transportOut: 'udp4',
      packets: 2,
      bytes: 2 * payload.length,
    });
  });

  test('passes between IPv4 and IPv6 (peer relay §19.6)', () => {
    const world = new RulesWorld();
    const [a, b] = [new RelayPeer(), new RelayPeer()];
    const endpoint = world.allocate(a, b);
    world.bind(a, b, endpoint, ...A);
    world.bind(b, a, endpoint, '2001:db8::2', 2000);
    const payload = data(endpoint.vni);
    assert.deepEqual(world.send(...A, payload), {
      verdict: 'forward',
      to: '[2001:db8::2]:2000',
      bytes: payload.length,
    });
    assert.equal(world.send('2001:db8::2', 2000, payload).verdict, 'forward');
    assert.deepEqual(world.send('2001:db8::3', 2000, payload), dropped('unknown_source'));
    assert.deepEqual(
      world.snapshot().forwarded.map(({ packets }) => packets),
      [0, 1, 1, 0],
    );
  });

  test('a side that binds again has its new address at once, and its old one as a source for 7 s (peer relay §19.7)', () => {
    const world = new RulesWorld();
    const { a, b, endpoint } = boundPair(world);
    const payload = data(endpoint.vni);
    world.localPort = 443;
    world.bind(a, b, endpoint, '2001:db8::1', 1000, 9);
    assert.deepEqual(world.send(...B, payload), {
      verdict: 'forward',
      to: '[2001:db8::1]:1000',
      bytes: payload.length,
    });
    assert.equal(world.send('2001:db8::1', 1000, payload).verdict, 'forward');
    assert.deepEqual(world.send(...A, payload), { verdict: 'forward', to: '192.0.2.2:2000', bytes: payload.length });
    world.pass(6900);
    assert.equal(world.send(...A, payload).verdict, 'forward');
    world.pass(200);
    assert.deepEqual(world.send(...A, payload), dropped('unknown_source'));
    const ports = world.snapshot().endpoints[0]!.sides.map(({ localPort }) => localPort);
    assert.deepEqual(ports.sort(), [3478, 443], 'the other side was not touched');
  });

  test('a batch goes on as it came, up to what has another way (peer relay §18.5, peer relay §18.7)', () => {
    const world = new RulesWorld();
    const { endpoint } = boundPair(world);
    const { vni } = endpoint;
    const batch = (...parts: Buffer[]) => world.sendBatch(...A, Buffer.concat(parts), 108);
    const to = '192.0.2.2:2000';
    const whole = [data(vni), data(vni), data(vni, 50)];
    assert.deepEqual(batch(...whole), [{ verdict: 'forward', to, bytes: 2 * 108 + 58 }]);
    assert.deepEqual(batch(data(vni), data(vni), Buffer.of(7)), [
      { verdict: 'forward', to, bytes: 216 },
      dropped('short'),
    ]);
    assert.deepEqual(batch(data(vni), data(vni ^ 0x10_00_00), data(vni)), [
      { verdict: 'forward', to, bytes: 108 },
      dropped('unknown_vni'),
      { verdict: 'forward', to, bytes: 108 },
    ]);
    assert.equal(world.snapshot().forwarded[0]!.packets, 3 + 2 + 2);
  });

  test('a batch is split as its datagrams would be one by one', () => {
    const kinds = ['data', 'other', 'junk', 'bind'] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 12 }), (list) => {
        const world = new RulesWorld();
        const { a, b, endpoint } = boundPair(world);
        const make = {
          data: () => data(endpoint.vni, 152),
          other: () => data(endpoint.vni ^ 0x10_00_00, 152),
          junk: () => Buffer.alloc(160, 0xff),
          bind: () => a.bind(endpoint, b),
        };
        const datagrams = list.map((kind) => make[kind]());
        const outcomes = world.sendBatch(...A, Buffer.concat(datagrams), 160);
        const forwarded = outcomes.reduce(
          (sum, outcome) => sum + (outcome.verdict === 'forward' ? outcome.bytes : 0),
          0,
        );
        assert.equal(forwarded, list.filter((kind) => kind === 'data').length * 160);
        assert.equal(
          outcomes.filter(({ verdict }) => verdict === 'reply').length,
          list.filter((k) => k === 'bind').length,
        );
      }),
      { numRuns: 50 },
    );
  });

  test('what a node sends is limited, and a forged source uses nothing of it', () => {
    const world = new RulesWorld({ bytesPerSecondPerNode: 100_000 });
    const { endpoint } = boundPair(world);
    const payload = data(endpoint.vni, 992);
    for (let i = 0; i < 1000; i++) world.send('203.0.113.1', 1, payload);
    const sentBy = (): number => {
      let sent = 0;
      for (let i = 0; i < 300; i++) if (world.send(...A, payload).verdict === 'forward') sent++;
      return sent;
    };
    const burst = sentBy();
    assert.ok(burst >= 60 && burst <= 70, `${burst} at once`);
    world.pass(500);
    const later = sentBy();
    assert.ok(later >= 45 && later <= 55, `${later} after half a second`);
    assert.equal(world.snapshot().drops['node_rate'], 600 - burst - later);
  });

  test('a node may have a rate of its own, which can change and end', () => {
    const world = new RulesWorld({ bytesPerSecondPerNode: 1_000_000 });
    const { endpoint } = boundPair(world);
    const payload = data(endpoint.vni, 992);
    const sentBy = (): number => {
      let sent = 0;
      for (let i = 0; i < 3000; i++) if (world.send(...A, payload).verdict === 'forward') sent++;
      return sent;
    };
    const setRate = (bytesPerSecond: number | null): void =>
      void world.rules.command(
        {
          kind: 'rates',
          rates: [
            { node: 'a', bytesPerSecond },
            { node: 'x', bytesPerSecond },
          ],
        },
        world.now,
      );
    setRate(100_000);
    const burst = sentBy();
    assert.ok(burst >= 60 && burst <= 70, `${burst} at once`);
    world.pass(500);
    const later = sentBy();
    assert.ok(later >= 45 && later <= 55, `${later} after half a second`);
    setRate(0);
    assert.equal(sentBy(), 3000, 'no limit');
    setRate(null);
    world.pass(100);
    const common = sentBy();
    assert.ok(common >= 95 && common <= 260, `${common} by the common limit`);
  });

  test('a node over its limit takes nothing from others; all together are limited too', () => {
    const world = new RulesWorld({ bytesPerSecondPerNode: 100_000, totalBytesPerSecond: 300_000 });
    const { endpoint } = boundPair(world);
    const [c, d] = [new RelayPeer(), new RelayPeer()];
    const second = world.allocate(c, d, 'c');
    world.bind(c, d, second, '192.0.2.3', 1);
    world.bind(d, c, second, '192.0.2.4', 1);
    for (let i = 0; i < 1000; i++) world.send(...A, data(endpoint.vni, 992));
    world.pass(200);
    for (let i = 0; i < 1000; i++) world.send(...A, data(endpoint.vni, 992));
    let sent = 0;
    for (let i = 0; i < 60; i++) if (world.send('192.0.2.3', 1, data(second.vni, 992)).verdict === 'forward') sent++;
    assert.ok(sent >= 30, `${sent} of the other node`);
    assert.ok(world.snapshot().drops['total_rate']! > 0);
  });
});

suite('any bytes', () => {
  test('throw nothing, answer nothing larger, and bind nothing', () => {
    const world = new RulesWorld();
    const { a, b, endpoint } = boundPair(world);
    const seeds = [a.bind(endpoint, b), data(endpoint.vni), a.control(DiscoType.Answer, endpoint, b)];
    const mutated = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(159), fc.nat(255)), { maxLength: 4 }), fc.nat(170))
      .map(([seed, changes, length]) => {
        const bytes = Buffer.alloc(length);
        seed.copy(bytes);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        return bytes;
      });
    fc.assert(
      fc.property(
        fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })),
        fc.integer({ min: 0, max: 60 }),
        (bytes, segment) => {
          world.now += 100;
          for (const outcome of world.sendBatch('203.0.113.5', 5, bytes, segment)) {
            assert.notEqual(outcome.verdict, 'forward');
            if (outcome.verdict === 'reply') assert.ok(outcome.reply.length <= bytes.length);
          }
        },
      ),
      { numRuns: 1000 },
    );
    const sides = world.snapshot().endpoints[0]!.sides.map(({ address }) => address);
    assert.deepEqual(sides.sort(), ['192.0.2.1:1000', '192.0.2.2:2000']);
  });
});
