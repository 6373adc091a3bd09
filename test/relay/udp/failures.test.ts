import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DatagramLoop } from '../../../src/relay/udp/datagram-loop.ts';
import { createDoorCounts, DoorCount, type DoorCountName } from '../../../src/relay/udp/door-counts.ts';
import { DoorSockets } from '../../../src/relay/udp/door-sockets.ts';
import { spoilsEqualRows } from '../../../src/relay/udp/offload.ts';
import { SIDE_WORDS, SideWord, type DatagramRules } from '../../../src/relay/udp/port.ts';
import { StunAnswers } from '../../../src/relay/udp/stun-answers.ts';
import { Arena } from '../../../src/system/arena.ts';
import { Errno, MSG_DONTWAIT } from '../../../src/system/linux.ts';
import type { SystemCalls } from '../../../src/system/port.ts';
import { loadSystemCalls } from '../../../src/system/runtime.ts';
import type { UdpSocket } from '../../../src/system/udp-opener.ts';
import { Wake } from '../../../src/system/wake.ts';
import { Fixture, pattern } from '../../system/fixture.ts';
import { bindMessage, makeForwarder, payload } from './forwarder.ts';

const real = await loadSystemCalls();
type Failing = 'sendmmsg' | 'recvmmsg' | 'bind';

/** The real system calls; a test can make the next ones of a kind fail. */
class FailingCalls {
  readonly calls: SystemCalls;
  sends = 0;
  pauses = 0;
  readonly #planned: Record<Failing, number[]> = { sendmmsg: [], recvmmsg: [], bind: [] };
  #errno = 0;

  constructor() {
    this.calls = {
      ...real,
      errno: () => this.#errno || real.errno(),
      bind: (...values) => this.#next('bind') ?? real.bind(...values),
      recvmmsg: (...values) => this.#next('recvmmsg') ?? real.recvmmsg(...values),
      usleep: (microseconds) => {
        this.pauses += 1;
        return real.usleep(microseconds);
      },
      sendmmsg: (...values) => {
        this.sends += 1;
        return this.#next('sendmmsg') ?? real.sendmmsg(...values);
      },
    };
  }

  fail(call: Failing, ...errors: readonly number[]): void {
    this.#planned[call].push(...errors);
  }

  #next(call: Failing): -1 | null {
    this.#errno = this.#planned[call].shift() ?? 0;
    return this.#errno === 0 ? null : -1;
  }
}

/** A door in this thread; the test sets its time. */
class World {
  readonly failing: FailingCalls = new FailingCalls();
  readonly f: Fixture = new Fixture(real);
  readonly events: string[] = [];
  readonly rules: DatagramRules;
  readonly sockets: DoorSockets;
  readonly a: UdpSocket;
  readonly b: UdpSocket;
  now = 1000;
  readonly #arena: Arena;
  readonly #wake: Wake;
  readonly #counts = createDoorCounts();
  readonly #loop: DatagramLoop;
  readonly #batch = this.f.batch(2048, 16);

  constructor() {
    const { calls } = this.failing;
    this.#arena = new Arena(calls, DatagramLoop.arenaBytes + Wake.arenaBytes);
    const offload = { gro: true, gso: true, neverEqualTail: false };
    this.sockets = new DoorSockets(calls, this.#arena, this.#counts, offload, {
      lost: (_place, error) => this.events.push(`lost ${error.message}`),
      reopened: (_place, error) => this.events.push(error?.message ?? 'open'),
    });
    this.sockets.add({ ip: '127.0.0.1', port: 0 });
    this.#wake = new Wake(calls, this.#arena);
    this.rules = makeForwarder(null, new Int32Array(8 * SIDE_WORDS), { locate: () => false }, 0, this.#counts);
    const stun = new StunAnswers(this.#counts, { limit: null, generic: null });
    const now = (): number => this.now;
    const { rules, sockets } = this;
    const [arena, counts, wakeFd] = [this.#arena, this.#counts, this.#wake.fd];
    this.#loop = new DatagramLoop({ calls, arena, sockets, rules, stun, sighted: () => {}, counts, wakeFd, now });
    [this.a, this.b] = [this.f.open('127.0.0.1'), this.f.open('127.0.0.1')];
    this.bind();
  }

  get port(): number {
    return this.sockets.all[0]!.place.port;
  }

  count(name: DoorCountName): number {
    return this.#counts[DoorCount[name]]!;
  }

  bind(): void {
    for (const [side, socket] of [this.a, this.b].entries()) {
      this.send(socket, bindMessage(1, side as 0 | 1));
      this.receive(socket, 1);
    }
  }

  /** Sends a message to the door, in segments or not, and runs one turn of the door. */
  send(from: UdpSocket, message: Buffer, segment = 0): void {
    this.post(from, message, segment);
    this.turn();
  }

  /** Sends a message that waits at the door. */
  post(from: UdpSocket, message: Buffer, segment = 0): void {
    this.f.out.count = 0;
    this.f.add(message, '127.0.0.1', this.port);
    if (segment > 0) this.f.out.setSegment(segment);
    assert.equal(this.f.out.send(from.fd, 0, MSG_DONTWAIT), 1);
  }

  turn(): void {
    this.#loop.turn(1000);
  }

  receive(at: UdpSocket, count: number): Buffer[] {
    return this.f.receive(at, count, this.#batch).map(({ bytes }) => bytes);
  }

  /** Sends ten datagrams from `a` and compares what `b` receives; returns the number of system calls in which the door sent them. */
  row(length: number): number {
    const row = Array.from({ length: 10 }, (_, i) => payload(1, pattern(length - 8, i)));
    const before = this.failing.sends;
    this.send(this.a, Buffer.concat(row), length);
    assert.deepEqual(this.receive(this.b, row.length), row);
    return this.failing.sends - before;
  }

  close(): void {
    this.sockets.close();
    this.#wake.close();
    this.#arena.release();
    this.f.close();
  }
}

function inWorld(test: (world: World) => void): () => void {
  return () => {
    const world = new World();
    try {
      test(world);
    } finally {
      world.close();
    }
    assert.equal(Arena.count, 0);
  };
}

describe('UDP door when the kernel refuses', { timeout: 60_000, skip: real.unavailable ?? false }, () => {
  it(
    'EIO: no segments any more on this socket, and nothing is lost (peer relay §19.22)',
    inWorld((world) => {
      assert.equal(world.row(500), 1);
      world.failing.fail('sendmmsg', Errno.EIO);
      assert.equal(world.row(500), 2);
      assert.equal(world.row(500), 1);
      assert.deepEqual([world.count('segmentsRefused'), world.count('sendFailed')], [1, 0]);
      // Ten messages of one datagram each.
      assert.equal(world.count('sentBatches'), 2 + 1 + 10 + 10);
    }),
  );

  it(
    'single datagrams of one side leave together and in order, and apart where that is refused',
    inWorld((world) => {
      // The sixth is shorter, so that it must be the last of its message; the last one is longer.
      const lengths = [200, 200, 200, 200, 200, 50, 200, 300];
      const row = lengths.map((length, i) => payload(1, pattern(length, i)));
      const before = world.count('sentBatches');
      for (const message of row) world.post(world.a, message);
      world.turn();
      assert.deepEqual(world.receive(world.b, row.length), row);
      assert.equal(world.count('sentBatches') - before, 3);
      world.failing.fail('sendmmsg', Errno.EIO);
      for (const message of row) world.post(world.a, message);
      world.turn();
      assert.deepEqual(world.receive(world.b, row.length), row);
      assert.equal(world.count('segmentsRefused'), 1);
    }),
  );

  for (const errno of [Errno.EMSGSIZE, Errno.EINVAL]) {
    it(
      `errno ${errno}: segments too long for the path are remembered for it alone, and tried again later`,
      inWorld((world) => {
        const side = 3 * SIDE_WORDS;
        world.failing.fail('sendmmsg', errno);
        assert.equal(world.row(1000), 2);
        assert.equal(world.rules.sides[side + SideWord.Own], 1000);
        const sent = world.count('sentBatches');
        world.row(1000);
        assert.equal(world.count('sentBatches') - sent, 10);
        // Shorter ones are still sent in segments.
        world.row(400);
        assert.equal(world.count('sentBatches') - sent, 11);
        assert.equal(world.count('segmentsTooLong'), 1);
        // Time passes, in turns of the loop.
        world.now += 700_000;
        world.row(400);
        world.row(1000);
        assert.equal(world.count('sentBatches') - sent, 13);
        // A new binding does not use the result of the old path.
        world.failing.fail('sendmmsg', errno);
        world.row(1000);
        world.bind();
        assert.equal(world.rules.sides[side + SideWord.Own], 0);
      }),
    );
  }

  it(
    'EPERM and no route: the message is lost and counted, those behind it leave',
    inWorld((world) => {
      const row = [1, 2, 3, 4].map((i) => payload(1, pattern(100 * i, i)));
      // Different lengths, so that each is a message of its own.
      for (const [i, message] of row.entries()) {
        if (i === 1) world.failing.fail('sendmmsg', Errno.EPERM);
        if (i === 2) world.failing.fail('sendmmsg', Errno.EHOSTUNREACH);
        world.send(world.a, message);
      }
      assert.deepEqual(world.receive(world.b, 2), [row[0], row[3]]);
      assert.deepEqual([world.count('sendRefused'), world.count('sendUnreachable')], [1, 1]);
      assert.deepEqual(world.events, []);
    }),
  );

  it(
    'EAGAIN drops what waits; EINTR does not',
    inWorld((world) => {
      world.failing.fail('sendmmsg', Errno.EAGAIN);
      world.send(world.a, payload(1, pattern(10, 1)));
      world.failing.fail('sendmmsg', Errno.EINTR, Errno.EINTR);
      world.send(world.a, payload(1, pattern(10, 2)));
      assert.deepEqual(world.receive(world.b, 1), [payload(1, pattern(10, 2))]);
      assert.equal(world.count('sendBlocked'), 1);
    }),
  );

  it(
    'a local address that is gone: the kernel chooses another one',
    inWorld((world) => {
      const side = 3 * SIDE_WORDS;
      const gone = Buffer.from([192, 0, 2, 1]).readInt32LE(0);
      world.rules.sides[side + SideWord.LocalIp] = gone;
      world.row(600);
      assert.equal(world.rules.sides[side + SideWord.LocalIp], 0);
      assert.equal(world.count('sourceGone'), 1);
    }),
  );

  it(
    'a socket that fails is opened again on its port, and its sessions live on (peer relay §19.24)',
    inWorld((world) => {
      const { port } = world;
      world.failing.fail('recvmmsg', Errno.EBADF);
      world.send(world.a, payload(1, pattern(10, 1)));
      assert.deepEqual(world.events, ['lost recvmmsg: EBADF', 'open']);
      assert.equal(world.port, port);
      world.row(700);
      assert.deepEqual([world.count('socketErrors'), world.count('socketsReopened')], [1, 1]);
    }),
  );

  it(
    'tries again with growing waits, says so once, and counts what is lost meanwhile',
    inWorld((world) => {
      world.failing.fail('recvmmsg', Errno.EBADF);
      world.failing.fail('bind', ...Array<number>(6).fill(Errno.EADDRINUSE));
      world.send(world.a, payload(1, pattern(10, 1)));
      const waits: number[] = [];
      let started = world.now;
      for (let i = 0; world.sockets.closed > 0 && i < 2000; i++) {
        const fails = world.count('socketsReopened');
        world.now += 50;
        world.sockets.reopenDue(world.now);
        if (world.count('socketsReopened') > fails) waits.push(world.now - started);
        started = Math.min(started, world.now);
      }
      assert.deepEqual(world.events, ['lost recvmmsg: EBADF', 'bind: EADDRINUSE', 'open']);
      // 100, 200, 400, 800, 1600 and 3200 ms.
      assert.deepEqual(waits, [6300]);
      world.row(300);
    }),
  );

  it(
    'an answer of ICMP is no reason to open a socket again',
    inWorld((world) => {
      world.failing.fail('recvmmsg', Errno.ECONNREFUSED);
      world.send(world.a, payload(1, pattern(10, 1)));
      world.turn();
      assert.equal(world.receive(world.b, 1).length, 1);
      assert.deepEqual(world.events, []);
    }),
  );
});

describe('pauses of the UDP thread', { timeout: 60_000, skip: real.unavailable ?? false }, () => {
  it(
    'only while many datagrams come in turns that follow one another',
    inWorld((world) => {
      const pausesOf = (length: number, elapsedMs: number): number => {
        world.now += 1000;
        world.row(length);
        const before = world.failing.pauses;
        for (let i = 0; i < 2; i++) {
          world.now += elapsedMs;
          world.row(length);
        }
        return world.failing.pauses - before;
      };
      assert.equal(pausesOf(100, 0), 0, 'small datagrams');
      assert.equal(pausesOf(1000, 10), 0, 'turns with time between them');
      // The second of three turns is the first that follows another one at once, and the pause comes after it.
      assert.equal(pausesOf(1000, 0), 1, 'many large datagrams');
      assert.equal(pausesOf(100, 0), 0, 'small datagrams again');
    }),
  );
});

describe('kernels that spoil rows of equal length', () => {
  it('are those of 7.0.0 to 7.1.4', () => {
    const spoiling = ['7.0.0', '7.0.12-generic', '7.1.0', '7.1.4-arch1-1', '7.1-rc3'];
    const sound = ['6.18.44-fc-v595', '7.1.5', '7.1.10', '7.2.0', '8.0.0', '17.0.0', 'unknown', ''];
    assert.deepEqual(
      spoiling.map(spoilsEqualRows),
      spoiling.map(() => true),
    );
    assert.deepEqual(
      sound.map(spoilsEqualRows),
      sound.map(() => false),
    );
  });
});
