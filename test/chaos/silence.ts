/**
 * Opens 10,000 connections that send nothing, and one that sends garbage for every hundred of them. The relay process
 * must serve other clients meanwhile, count each refusal, and return descriptors and memory.
 * Run by `node test/chaos/silence.ts`; exit code 1 when one of these conditions fails. Loopback only, takes a minute.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import { transport } from '../../src/transport/runtime.ts';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';
import { within } from '../service/support.ts';

const CONNECTS = 10_000;
const AT_ONCE = 1000;
const DEADLINE_MS = 60_000;
/** Memory that the process may keep more than after a first, equal round, in bytes: reserve of the allocator. */
const SLACK_MIB = 32;

// The default of ten seconds would only make the test longer.
process.env['TOWPATH_LIMITS_TLS_HANDSHAKE_MS'] = '1000';
const relay = new RelayProcess([...FREE_PORTS, '--no-self-test', '--log-level', 'warn']);
const clock = new Clock();
clock.start();
try {
  const [port, admin] = [await relay.port('DERP'), await relay.port('admin')];
  const client = await connectDerp({
    transport,
    clock,
    url: `https://127.0.0.1:${port}/derp`,
    verify: { kind: 'none' },
  });
  const before = descriptors();
  const memory: number[] = [];
  for (const round of [1, 2]) {
    await silence(port, CONNECTS / 2);
    await within(
      until(() => descriptors() <= before),
      'descriptors return',
      DEADLINE_MS,
    );
    memory.push(residentMiB());
    assert.ok((await client.ping()) >= 0, 'others are served');
    console.log(
      `round ${round}: ${CONNECTS / 2} connects, descriptors ${before} → ${descriptors()}, RSS ${memory.at(-1)!.toFixed(0)} MiB`,
    );
  }
  assert.ok(memory[1]! <= memory[0]! + SLACK_MIB, 'memory returns');
  const counted = await refusals(admin);
  console.log(counted);
  const total = Object.values(counted).reduce((sum, count) => sum + count, 0);
  assert.equal(total, CONNECTS, 'each refusal is counted');
  client.abort();
  assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
  console.log('silence: 1 passed, 0 failed');
} finally {
  clock.stop();
  await relay.clean();
}

/** Opens `count` connections, a limited number at a time, and waits until the relay has ended each. */
async function silence(port: number, count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += AT_ONCE) {
    const ended = Array.from({ length: AT_ONCE }, (_, i) =>
      untilEnded(connect({ port, host: '127.0.0.1' }), i % 100 === 0),
    );
    await within(Promise.all(ended), `the end of ${AT_ONCE} connections`, DEADLINE_MS);
  }
}

function untilEnded(socket: Socket, garbage: boolean): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
    if (garbage) socket.write(randomBytes(300));
  });
}

async function until(condition: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = clock.onTick(() => {
      if (!condition()) return;
      stop();
      resolve();
    });
  });
}

function descriptors(): number {
  return readdirSync(`/proc/${relay.child.pid!}/fd`).length;
}

function residentMiB(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.child.pid!}/status`, 'utf8'))![1]) / 1024;
}

async function refusals(admin: number): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  const found = [...text.matchAll(/^towpath_refusals_total\{reason="(\w+)"\} (\d+)/gm)].map(
    (m) => [m[1]!, Number(m[2])] as const,
  );
  return Object.fromEntries(found.filter(([, count]) => count > 0));
}
