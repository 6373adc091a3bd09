import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { runLoad } from '../../../src/tools/load/coordinator.ts';
import type { LoadPlan } from '../../../src/tools/load/plan.ts';
import { mainClass, type ClassResult, type LoadResult, type TimelinePoint } from '../../../src/tools/load/result.ts';
import { encodeFrame, encodePeerGone, FrameType, PeerGoneReason } from '../../../src/wire/frames.ts';
import { FakeRelay, type FakeConnection } from '../../client/fake-relay.ts';
import { refusal } from '../../client/support.ts';
import { TestRelay } from '../../service/support.ts';
import { examplePlan } from './support.ts';

interface Run {
  readonly result: LoadResult;
  readonly points: readonly TimelinePoint[];
}

async function load(plan: LoadPlan, stop: AbortSignal = new AbortController().signal): Promise<Run> {
  const points: TimelinePoint[] = [];
  const observer = { opening: () => undefined, point: (point: TimelinePoint) => void points.push(point) };
  return { result: await runLoad(plan, null, observer, stop), points };
}

/** Runs against a relay that calls `forward` for each packet instead of delivering it. */
async function mangled(forward: (to: FakeConnection, recvPacket: Buffer, count: number) => void): Promise<ClassResult> {
  let count = 0;
  const relay = await FakeRelay.start({
    frame(from, type, frame) {
      if (type !== FrameType.SendPacket) return;
      for (const to of from.relay.connections) {
        if (!to.publicKey.equals(frame.subarray(5, 37))) continue;
        forward(to, encodeFrame(FrameType.RecvPacket, from.publicKey, frame.subarray(37)), count++);
      }
    },
  });
  try {
    const plan = examplePlan(relay.url, {
      groups: [{ className: 'pairs', pairs: 1, packetBytes: 100, sending: { kind: 'rate', packetsPerSecond: 100 } }],
    });
    return mainClass((await load(plan)).result)!;
  } finally {
    await relay.stop();
  }
}

function faults({ lost, reordered, duplicated, corrupted, misrouted }: ClassResult): Record<string, number> {
  return { lost, reordered, duplicated, corrupted, misrouted };
}

const NONE = { lost: 0, reordered: 0, duplicated: 0, corrupted: 0, misrouted: 0 };

suite('runLoad tells faults apart', () => {
  test('a relay that drops every tenth packet', async () => {
    const one = await mangled((to, packet, count) => {
      if (count % 10 !== 0) to.write(packet);
    });
    assert.ok(one.sent > 10);
    assert.deepEqual(faults(one), { ...NONE, lost: Math.ceil(one.sent / 10) });
    assert.equal(one.delivered, one.sent - one.lost);
  });

  test('a relay that changes a byte', async () => {
    const one = await mangled((to, packet, count) => {
      if (count % 10 === 0) packet[40 + (count % 90)]! ^= 0x10;
      to.write(packet);
    });
    assert.deepEqual(faults(one), { ...NONE, corrupted: Math.ceil(one.sent / 10) });
  });

  test('a relay that says everything twice', async () => {
    const one = await mangled((to, packet) => to.write(packet, packet));
    assert.deepEqual(faults(one), { ...NONE, duplicated: one.sent });
    assert.equal(one.delivered, one.sent);
  });

  test('a relay that turns two packets round', async () => {
    let kept: Buffer | null = null;
    const one = await mangled((to, packet, count) => {
      if (count === 4) kept = packet;
      else if (kept === null) to.write(packet);
      else {
        to.write(packet, kept);
        kept = null;
      }
    });
    assert.deepEqual(faults(one), { ...NONE, reordered: 1 });
  });

  test('a relay that brings packets to somebody else', async () => {
    const relay = await FakeRelay.start({
      frame(from, type, frame) {
        if (type !== FrameType.SendPacket) return;
        const packet = encodeFrame(FrameType.RecvPacket, from.publicKey, frame.subarray(37));
        for (const to of relay.connections) if (to !== from) to.write(packet);
      },
    });
    const one = mainClass((await load(examplePlan(relay.url))).result)!;
    await relay.stop();
    assert.equal(one.misrouted, one.sent);
    assert.deepEqual([one.lost, one.corrupted, one.duplicated], [0, 0, 0]);
  });

  test('a relay that ends a connection', async () => {
    const relay = await FakeRelay.start({
      frame(from, type) {
        if (type === FrameType.SendPacket) from.stream.abort();
      },
    });
    const { result } = await load(examplePlan(relay.url, { durationMs: 60_000 }));
    await relay.stop();
    // Both senders are disconnected, so the run must not take a minute.
    assert.equal(result.connections.disconnected, 2);
    assert.match(result.connectionErrors[0]!.message, /connection/);
  });
});

suite('runLoad against towpath', () => {
  const targets = ['raw', 'WebSocket'] as const;
  for (const way of targets) {
    test(`${way}: nothing is lost at a low rate, with two workers`, async () => {
      const relay = await TestRelay.start();
      const plan = planFor(relay, { workers: 2, warmUpMs: 500 });
      const { result, points } = await load({ ...plan, target: { ...plan.target, websocket: way === 'WebSocket' } });
      await relay.stop();
      const one = mainClass(result)!;
      assert.deepEqual(faults(one), NONE);
      assert.ok(one.delivered > 10 && one.delivered === one.sent, String(one.delivered));
      assert.ok(one.latency.count > 0 && one.latency.count < one.delivered, 'the warm-up does not count');
      assert.equal(one.jain !== null && one.jain > 0.9, true);
      const measured = points.map((point) => point.measured);
      // A busy machine may look less often.
      assert.deepEqual(measured, [false, ...measured.slice(1).fill(true)]);
      assert.ok(measured.length > 1);
      assert.deepEqual(points, result.timeline);
      assert.deepEqual([result.connections.opened, result.connections.disconnected], [4, 0]);
    });
  }

  test('a window delivers all, with several packets in a record too', async () => {
    const relay = await TestRelay.start();
    const groups = [
      { className: 'pairs', pairs: 3, packetBytes: 1200, sending: { kind: 'window', packets: 16 } },
    ] as const;
    const { result } = await load(planFor(relay, { groups, coalesce: 8 }));
    await relay.stop();
    const one = mainClass(result)!;
    assert.deepEqual(faults(one), NONE);
    assert.ok(one.delivered > 100, String(one.delivered));
  });

  test('greedy pairs do not keep the event loop from its other work', async () => {
    const relay = await TestRelay.start();
    const { result } = await load(
      planFor(relay, {
        scenario: 'fairness',
        groups: [
          { className: 'polite', pairs: 2, packetBytes: 200, sending: { kind: 'rate', packetsPerSecond: 50 } },
          { className: 'greedy', pairs: 2, packetBytes: 1200, sending: { kind: 'flood' } },
        ],
      }),
    );
    await relay.stop();
    const [polite, greedy] = result.classes;
    assert.ok(polite!.delivered > 0 && greedy!.delivered > 100, `${polite!.delivered}, ${greedy!.delivered}`);
    assert.equal(polite!.corrupted + greedy!.corrupted, 0);
  });

  test('receivers that do not read are cut, and the healthy pair loses nothing', async () => {
    const relay = await TestRelay.start({ TOWPATH_LIMITS_WRITE_DEADLINE_MS: '200' });
    const stop = new AbortController();
    const stalled = { receivers: 3, packetBytes: 32_768, packetsPerSecond: 1500 };
    const plan = planFor(relay, { scenario: 'slow', stalled, durationMs: 60_000 });
    const groups = plan.groups.map((group) => ({ ...group, className: 'healthy' as const }));
    const observer = {
      opening: () => undefined,
      point: ({ connections }: TimelinePoint) => {
        if (connections.cut === 3) stop.abort();
      },
    };
    const result = await runLoad({ ...plan, groups }, null, observer, stop.signal);
    await relay.stop();
    assert.deepEqual([result.connections.stalled, result.connections.cut], [3, 3]);
    assert.equal(result.connections.disconnected, 0);
    assert.deepEqual(faults(mainClass(result)!), NONE);
  });

  for (const pattern of ['idle', 'ramp', 'churn'] as const) {
    test(`connections, ${pattern}`, async () => {
      const relay = await TestRelay.start();
      const stop = new AbortController();
      const connections = { pattern, connections: 20, perSecond: pattern === 'idle' ? 0 : 40 };
      const opened = pattern === 'churn' ? 21 : 20;
      const observer = {
        opening: () => undefined,
        point: (point: TimelinePoint) => {
          if (point.connections.opened >= opened && point.pingP99Ms !== null) stop.abort();
        },
      };
      const plan = planFor(relay, { scenario: 'connections', groups: [], connections, durationMs: 60_000 });
      const result = await runLoad(plan, null, observer, stop.signal);
      await relay.stop();
      const counts = result.connections;
      assert.ok(pattern === 'churn' ? counts.opened >= opened : counts.opened === opened, String(counts.opened));
      assert.deepEqual([counts.failed, counts.disconnected], [0, 0]);
      assert.ok(counts.open <= 20, String(counts.open));
      assert.ok(result.pings.count > 0);
      assert.equal(result.logins.count, counts.opened);
    });
  }
});

suite('runLoad ends', () => {
  test('early, with what it has, when it is told to', async () => {
    const relay = await TestRelay.start();
    const stop = new AbortController();
    const observer = { opening: () => undefined, point: () => stop.abort() };
    const result = await runLoad(planFor(relay, { durationMs: 60_000 }), null, observer, stop.signal);
    await relay.stop();
    assert.equal(result.interrupted, true);
    assert.ok(mainClass(result)!.delivered > 0);
  });

  test('at once, when it is told to before anything is connected', async () => {
    const relay = await FakeRelay.start({ upgrade: () => undefined });
    const stop = new AbortController();
    const run = load(examplePlan(relay.url), stop.signal);
    stop.abort();
    await assert.rejects(run, refusal('TOWPATH_LOAD_INTERRUPTED', /before the traffic started/));
    await relay.stop();
  });

  test('with the error of the client when the relay cannot be reached', async () => {
    const relay = await FakeRelay.start();
    const { url } = relay;
    await relay.stop();
    await assert.rejects(load(examplePlan(url)), refusal('TOWPATH_CONNECT_TCP', /./));
  });

  test('counts connections that fail, where they are what is tested', async () => {
    const relay = await FakeRelay.start({ upgrade: (connection) => connection.write('HTTP/1.1 503 Busy\r\n\r\n') });
    const connections = { pattern: 'idle', connections: 5, perSecond: 0 } as const;
    const plan = examplePlan(relay.url, { scenario: 'connections', groups: [], connections });
    const { result } = await load(plan);
    await relay.stop();
    assert.deepEqual([result.connections.failed, result.connections.opened], [5, 0]);
    assert.deepEqual(
      result.connectionErrors.map(({ code, count }) => [code, count]),
      [['TOWPATH_CLIENT_HTTP', 5]],
    );
  });
});

test('a relay that says PeerGone for a stalled receiver has cut it', async () => {
  const relay = await FakeRelay.start({
    frame(from, type, frame) {
      const key = frame.subarray(5, 37);
      if (type === FrameType.SendPacket) from.write(encodePeerGone(key, PeerGoneReason.NotHere));
    },
  });
  const stalled = { receivers: 4, packetBytes: 100, packetsPerSecond: 100 };
  const { result } = await load(examplePlan(relay.url, { scenario: 'slow', groups: [], stalled }));
  await relay.stop();
  assert.deepEqual([result.connections.stalled, result.connections.cut], [4, 4]);
});

function planFor(relay: TestRelay, changes: Partial<LoadPlan>): LoadPlan {
  const plan = examplePlan(`https://127.0.0.1:${relay.port}/derp`, { drainMs: 20_000, ...changes });
  const sha256 = relay.relay.certificate.info().pinSha256;
  return { ...plan, target: { ...plan.target, verify: { kind: 'pin', sha256 } } };
}
