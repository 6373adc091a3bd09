/** The tests for every adapter with system calls; they run inside the adapter's own runtime. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { it } from 'node:test';
import { Arena } from '../../src/system/arena.ts';
import { duplicateDescriptor } from '../../src/system/duplicate.ts';
import { Errno, MSG_DONTWAIT, SOCK_CLOEXEC, SystemCallError } from '../../src/system/linux.ts';
import type { SystemCalls } from '../../src/system/port.ts';
import { PollSet } from '../../src/system/poll-set.ts';
import { probeSystem } from '../../src/system/probe.ts';
import { Wake } from '../../src/system/wake.ts';
import { Fixture, pattern } from './fixture.ts';

/** Declares all tests of the contract for one adapter. */
export function systemContract(calls: SystemCalls): void {
  it('passes the probe', () => {
    const probe = probeSystem(calls);
    assert.deepEqual(probe.isUsable, true, JSON.stringify(probe));
    assert.equal(Arena.count, 0);
  });

  for (const [family, ip] of [
    ['IPv4', '127.0.0.1'],
    ['IPv6', '::1'],
  ] as const) {
    it(`moves datagrams of every length whole, with their source, over ${family}`, () =>
      withFixture(calls, (f) => {
        const [from, to] = [f.open(ip), f.open(ip)];
        const lengths = [1, 0, 7, 8, 160, 1280, 1472, 9000, 65_000];
        for (const [i, length] of lengths.entries()) f.add(pattern(length, i), ip, to.port);
        assert.equal(f.out.send(from.fd, 0, MSG_DONTWAIT), lengths.length);
        assert.deepEqual(
          lengths.map((_, i) => f.out.sentBytes(i)),
          lengths,
        );
        const received = f.receive(to, lengths.length, f.batch());
        for (const [i, length] of lengths.entries()) {
          assert.deepEqual(received[i]!.bytes, pattern(length, i));
          assert.deepEqual(received[i]!.from, { ip, port: from.port });
          assert.equal(received[i]!.isWhole, true);
        }
      }));
  }

  it('tells the address that was asked, and answers from it', () =>
    withFixture(calls, (f) => {
      const [client, server] = [f.open('127.0.0.1'), f.open('0.0.0.0')];
      f.add(pattern(20, 1), '127.0.0.7', server.port);
      assert.equal(f.out.send(client.fd, 0, MSG_DONTWAIT), 1);
      const [request] = f.receive(server, 1, f.batch());
      assert.equal(request?.local[0], f.local('127.0.0.7')[0]);
      f.out.count = 0;
      f.add(pattern(30, 2), '127.0.0.1', client.port);
      f.out.setSource(f.local('127.0.0.7'), 0, 0);
      assert.equal(f.out.send(server.fd, 0, MSG_DONTWAIT), 1);
      const [answer] = f.receive(client, 1, f.batch());
      assert.deepEqual(answer?.from, { ip: '127.0.0.7', port: server.port });
    }));

  it('tells the address that was asked over IPv6', () =>
    withFixture(calls, (f) => {
      const [client, server] = [f.open('::1'), f.open('::')];
      f.add(pattern(20, 1), '::1', server.port);
      f.out.send(client.fd, 0, MSG_DONTWAIT);
      const [request] = f.receive(server, 1, f.batch());
      assert.deepEqual(request?.local, [...f.local('::1')]);
      f.out.count = 0;
      f.add(pattern(30, 2), '::1', client.port);
      f.out.setSource(f.local('::1'), 0, 0);
      assert.equal(f.out.send(server.fd, 0, MSG_DONTWAIT), 1);
      assert.deepEqual(f.receive(client, 1, f.batch())[0]?.from, { ip: '::1', port: server.port });
    }));

  it('keeps datagrams that were sent together together, and says how long each is', () =>
    withFixture(calls, (f) => {
      const [from, to] = [f.open('127.0.0.1'), f.open('127.0.0.1', true)];
      const [segments, tail] = [pattern(16 * 1200, 3), pattern(100, 4)];
      f.add(segments, '127.0.0.1', to.port);
      f.add(tail, '127.0.0.1', to.port);
      // The second message sends the end of the first one: the pieces of a message may be at different places.
      f.out.count = 1;
      f.out.append(f.arena.bytes.indexOf(tail), tail.length);
      f.out.setSegment(1200);
      assert.equal(f.out.send(from.fd, 0, MSG_DONTWAIT), 1);
      const together = f.receive(to, 1, f.batch())[0]!;
      assert.equal(together.segmentBytes, 1200);
      assert.deepEqual(together.bytes, Buffer.concat([segments, tail]));
    }));

  it('cuts what was sent together for a socket that wants it apart', () =>
    withFixture(calls, (f) => {
      const [from, to] = [f.open('::1'), f.open('::1')];
      f.add(pattern(10 * 1000 + 1, 5), '::1', to.port);
      f.out.setSegment(1000);
      assert.equal(f.out.send(from.fd, 0, MSG_DONTWAIT), 1);
      const apart = f.receive(to, 11, f.batch());
      assert.deepEqual(
        apart.map(({ bytes }) => bytes.length),
        [...Array<number>(10).fill(1000), 1],
      );
      assert.deepEqual(Buffer.concat(apart.map(({ bytes }) => bytes)), pattern(10_001, 5));
    }));

  it('sees that a datagram or its control data did not fit', () =>
    withFixture(calls, (f) => {
      const [from, to] = [f.open('127.0.0.1'), f.open('127.0.0.1')];
      f.add(pattern(200, 1), '127.0.0.1', to.port);
      f.add(pattern(50, 2), '127.0.0.1', to.port);
      f.out.send(from.fd, 0, MSG_DONTWAIT);
      const short = f.receive(to, 2, f.batch(100));
      assert.deepEqual(
        short.map(({ isWhole, bytes }) => [isWhole, bytes.length]),
        [
          [false, 100],
          [true, 50],
        ],
      );
      f.out.send(from.fd, 0, MSG_DONTWAIT);
      const withoutControl = f.receive(to, 2, f.batch(1000, 4, 20));
      assert.deepEqual(
        withoutControl.map(({ isWhole }) => isWhole),
        [false, false],
      );
    }));

  it('EAGAIN: nothing waits', () =>
    withFixture(calls, (f) => {
      const socket = f.open('127.0.0.1');
      assert.equal(f.batch().receive(socket.fd, MSG_DONTWAIT), -1);
      assert.equal(calls.errno(), Errno.EAGAIN);
    }));

  it('EMSGSIZE: too long, and what stands before it leaves', () =>
    withFixture(calls, (f) => {
      const [from, to] = [f.open('127.0.0.1'), f.open('127.0.0.1')];
      f.add(pattern(10, 1), '127.0.0.1', to.port);
      f.add(pattern(65_508, 2), '127.0.0.1', to.port);
      f.add(pattern(12, 3), '127.0.0.1', to.port);
      assert.equal(f.out.send(from.fd, 0, MSG_DONTWAIT), 1);
      assert.equal(f.out.send(from.fd, 1, MSG_DONTWAIT), -1);
      assert.equal(calls.errno(), Errno.EMSGSIZE);
      assert.equal(f.out.send(from.fd, 2, MSG_DONTWAIT), 1);
      assert.deepEqual(
        f.receive(to, 2, f.batch()).map(({ bytes }) => bytes.length),
        [10, 12],
      );
    }));

  it('EADDRINUSE, EADDRNOTAVAIL: the error names the call, and no descriptor stays open', () =>
    withFixture(calls, (f) => {
      const { port } = f.open('127.0.0.1');
      const probe = f.open('127.0.0.1');
      assert.throws(() => f.open('127.0.0.1', false, port), matches('bind', 'EADDRINUSE'));
      assert.throws(() => f.open('192.0.2.1'), matches('bind', 'EADDRNOTAVAIL'));
      assert.throws(() => f.open('no address'), matches('bind', 'EINVAL'));
      // The next descriptor is the lowest free one: failed calls have closed theirs.
      const next = f.open('127.0.0.1');
      assert.ok(next.fd <= probe.fd + 2, `${next.fd} after ${probe.fd}`);
    }));

  it('EBADF: a descriptor that is not open', () =>
    withFixture(calls, (f) => {
      assert.equal(calls.close(-1), -1);
      assert.equal(calls.errno(), Errno.EBADF);
      assert.equal(f.batch().receive(-1, MSG_DONTWAIT), -1);
      assert.equal(calls.errno(), Errno.EBADF);
    }));

  it('duplicates a descriptor, which no child process gets', () =>
    withFixture(calls, (f) => {
      const { fd } = f.open('127.0.0.1');
      const copy = duplicateDescriptor(calls, fd);
      try {
        assert.ok(copy > 2 && copy !== fd);
        assert.equal(readlinkSync(`/proc/self/fd/${copy}`), readlinkSync(`/proc/self/fd/${fd}`));
        const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${copy}`, 'utf8'))?.[1];
        assert.notEqual(parseInt(flags ?? '0', 8) & SOCK_CLOEXEC, 0);
      } finally {
        assert.equal(calls.close(copy), 0);
      }
      assert.throws(() => duplicateDescriptor(calls, copy), { code: 'EBADF', call: 'fcntl' });
    }));

  it('wakes a thread out of poll, as often as asked', () =>
    withFixture(calls, (f) => {
      const wake = new Wake(calls, f.arena);
      const poll = new PollSet(calls, f.arena, 2);
      poll.set(1, wake.fd);
      assert.equal(poll.wait(0), 0);
      assert.equal(wake.clear(), false);
      for (let round = 0; round < 3; round++) {
        assert.ok(wake.wake() && wake.wake());
        assert.equal(poll.wait(10_000), 1);
        assert.equal(poll.found(0), 0);
        assert.equal(poll.found(1), 1);
        assert.equal(wake.clear(), true);
        assert.equal(poll.wait(0), 0);
      }
      wake.close();
    }));

  it('EINTR: a signal ends a call that blocks', async () => {
    const f = new Fixture(calls);
    const poll = new PollSet(calls, f.arena, 1);
    const listener = (): void => undefined;
    process.on('SIGWINCH', listener);
    // The thread sends signals until it is stopped: the first one may arrive before the call.
    const sender = spawn('sh', ['-c', `while kill -WINCH ${process.pid}; do sleep 0.05; done`], { stdio: 'ignore' });
    try {
      let result = 0;
      for (let i = 0; i < 100 && result >= 0; i++) result = poll.wait(1000);
      assert.equal(result, -1);
      assert.equal(calls.errno(), Errno.EINTR);
    } finally {
      const ended = new Promise((resolve) => sender.once('close', resolve));
      sender.kill('SIGKILL');
      await ended;
      await new Promise((resolve) => setTimeout(resolve, 100));
      process.off('SIGWINCH', listener);
      f.close();
    }
  });

  it('sleeps at least as long as it is told', () => {
    const startedAt = performance.now();
    assert.equal(calls.usleep(3000), 0);
    assert.ok(performance.now() - startedAt >= 3);
  });

  it('an arena knows its room, and two of them do not meet', () => {
    const [one, two] = [new Arena(calls, 4096), new Arena(calls, 4096)];
    try {
      assert.equal(one.reserve(1), 0);
      assert.equal(one.reserve(8, 64), 64);
      assert.throws(() => one.reserve(4096), RangeError);
      one.bytes.fill(1);
      assert.ok(two.bytes.every((byte) => byte === 0));
      assert.equal(Arena.count, 2);
    } finally {
      one.release();
      two.release();
    }
    assert.equal(Arena.count, 0);
  });
}

function matches(call: string, code: string): (error: unknown) => boolean {
  return (error) => error instanceof SystemCallError && error.call === call && error.code === code;
}

function withFixture(calls: SystemCalls, test: (fixture: Fixture) => void): void {
  const fixture = new Fixture(calls);
  try {
    test(fixture);
  } finally {
    fixture.close();
  }
}
