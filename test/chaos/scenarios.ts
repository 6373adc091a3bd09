import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RuntimeName } from '../../src/cli/runtime.ts';
import { exchange, ChaosRelay, type ChaosRelayOptions } from './chaos-relay.ts';

/** The result of a scenario that this machine cannot run: the reason. */
export class NotPossible extends Error {}

/** One problem, and the conditions that must hold then. */
export interface Scenario {
  readonly name: string;
  readonly holds: string;
  /** Runs in a network namespace of its own, because it changes addresses or the loopback. */
  readonly ownNetwork?: boolean;
  readonly run: (context: ChaosContext) => Promise<void>;
}

/** The tools of a scenario; relays that it makes are removed afterwards. */
export class ChaosContext {
  readonly runtime: RuntimeName;
  /** Factor for the amount of work; 1 is the short form. */
  readonly scale: number;
  readonly #relays: ChaosRelay[] = [];

  constructor(runtime: RuntimeName, scale: number) {
    this.runtime = runtime;
    this.scale = scale;
  }

  relay(options: Omit<ChaosRelayOptions, 'runtime'> = {}): ChaosRelay {
    const relay = new ChaosRelay({ runtime: this.runtime, ...options });
    this.#relays.push(relay);
    return relay;
  }

  async clean(): Promise<void> {
    for (const relay of this.#relays) await relay.clean();
  }
}

const DESCRIPTORS = 256;
const MEMORY_BYTES = 320 * 1024 * 1024;
const FAR_SECONDS = 400 * 86_400;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'descriptors',
    holds: 'with none left the relay lives and serves who is in, and lets others in when some are free again',
    run: async (context) => {
      const relay = context.relay({
        wrapper: ['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`],
        configuration: 'limits: { tlsHandshakeMs: 5000 }\n',
      });
      await relay.start();
      const [one, two] = [await relay.client(), await relay.client()];
      for (let round = 0; round < context.scale; round++) {
        const silent = await silence(relay.port, DESCRIPTORS + 100);
        await exchange(one, two, 50);
        for (const socket of silent) socket.destroy();
        await relay.eventually(async () => (await relay.ready()) === 200, '/readyz says 200 again');
        (await relay.client()).close();
      }
      await endsWell(relay);
    },
  },
  {
    name: 'memory limit',
    holds: 'in a container with little memory the relay is not ended by the kernel, and serves who is in',
    run: async (context) => {
      const group = memoryGroup();
      try {
        const relay = context.relay({ wrapper: ['sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh'] });
        await relay.start();
        const [one, two] = [await relay.client(), await relay.client()];
        const silent = await silence(relay.port, 3000 * context.scale);
        await exchange(one, two, 50);
        for (const socket of silent) socket.destroy();
        await relay.eventually(async () => (await relay.ready()) === 200, '/readyz says 200 again');
        (await relay.client()).close();
        await endsWell(relay);
      } finally {
        await context.clean();
        rmdirSync(group);
      }
    },
  },
  {
    name: 'full disk at the start',
    holds: 'a folder without room is an error in words, and no stack trace',
    run: (context) => {
      const relay = context.relay();
      const script = 'mount -t tmpfs -o size=4k none "$1" && (yes > "$1/fill" 2> /dev/null || :); shift; exec "$@"';
      const serve = [process.execPath, path.resolve(import.meta.dirname, '../../src/main.ts'), 'serve'];
      const flags = ['--listen', '127.0.0.1:0', '--http', 'off', '--stun', 'off', '--admin', 'off'];
      const files = ['--key-file', `${relay.folder}/key`, '--certificate-directory', `${relay.folder}/certs`];
      const { status, stderr } = spawnSync(
        'unshare',
        ['-m', 'sh', '-c', script, 'sh', relay.folder, ...serve, ...flags, ...files],
        { encoding: 'utf8', timeout: 60_000 },
      );
      if (stderr.includes('Operation not permitted')) throw new NotPossible('mounting needs root');
      assert.notEqual(status, 0);
      assert.match(stderr, /ENOSPC|no space|full/i);
      assert.doesNotMatch(stderr, /\n {4}at /);
      return Promise.resolve();
    },
  },
  {
    name: 'full disk under the log',
    holds: 'a log that cannot be written costs no packet and does not keep the relay from ending',
    run: async (context) => {
      const relay = context.relay({ log: 'full', configuration: 'log: { level: debug }\n' });
      await servesAndEnds(relay, 50 * context.scale);
    },
  },
  {
    name: 'blocked log',
    holds: 'a log that nobody reads costs no packet and does not keep the relay from ending',
    run: async (context) => {
      const relay = context.relay({ log: 'unread', configuration: 'log: { level: debug }\n' });
      await servesAndEnds(relay, 600 * context.scale);
    },
  },
  {
    name: 'clock jumps',
    holds: 'a wall clock that jumps by 400 days, both ways, ends no connection and keeps nobody out',
    run: async (context) => {
      const clock = path.join(mkdtempSync(path.join(tmpdir(), 'towpath-clock-')), 'clock');
      writeFileSync(clock, '+0');
      const relay = context.relay({
        env: {
          LD_PRELOAD: library(),
          FAKETIME_TIMESTAMP_FILE: clock,
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      });
      await relay.start();
      const [one, two] = [await relay.client(), await relay.client()];
      for (const seconds of [FAR_SECONDS, -FAR_SECONDS, 0]) {
        writeFileSync(clock, `${seconds < 0 ? '' : '+'}${seconds}`);
        await exchange(one, two, 100);
        (await relay.client()).close();
      }
      await endsWell(relay);
    },
  },
  {
    name: 'stopped and continued',
    holds: 'what was sent while the process stood still arrives when it goes on, over the same connections',
    run: async (context) => {
      const relay = context.relay();
      await relay.start();
      const [one, two] = [await relay.client(), await relay.client()];
      relay.kill('SIGSTOP');
      const arrived = exchange(one, two, 20);
      await delay(3000 * context.scale);
      relay.kill('SIGCONT');
      await arrived;
      await endsWell(relay);
    },
  },
  {
    name: 'kill -9',
    holds: 'after a kill the relay starts again by itself, with the same key, on the same port',
    run: async (context) => {
      const relay = context.relay();
      await relay.start();
      for (let round = 0; round < context.scale; round++) {
        const key = relay.key();
        const [one, two] = [await relay.client(), await relay.client()];
        await exchange(one, two, 20);
        relay.kill('SIGKILL');
        await relay.ended();
        await relay.start();
        assert.equal(relay.key(), key);
      }
      await exchange(await relay.client(), await relay.client(), 20);
      await endsWell(relay);
    },
  },
  {
    name: 'loss and delay',
    holds: 'with 2 % loss and 30 ms of delay each way every packet arrives, in order, and no client is cut off',
    ownNetwork: true,
    run: async (context) => {
      const { status, stderr } = spawnSync('tc', [
        'qdisc',
        'add',
        'dev',
        'lo',
        'root',
        'netem',
        'delay',
        '30ms',
        'loss',
        '2%',
      ]);
      if (status !== 0) throw new NotPossible(`tc netem: ${String(stderr).trim()}`);
      const relay = context.relay();
      await relay.start();
      await exchange(await relay.client(), await relay.client(), 500 * context.scale, 60_000);
      await endsWell(relay);
    },
  },
  {
    name: 'address taken away and back',
    holds: 'connections live through it, and new ones are possible when the address is back',
    ownNetwork: true,
    run: async (context) => {
      const change = (what: 'add' | 'del'): void => {
        const { status, stderr } = spawnSync('ip', ['address', what, '192.0.2.1/32', 'dev', 'lo']);
        if (status !== 0) throw new NotPossible(`ip address: ${String(stderr).trim()}`);
      };
      change('add');
      const relay = context.relay({ ip: '192.0.2.1' });
      await relay.start();
      const [one, two] = [await relay.client(), await relay.client()];
      change('del');
      const arrived = exchange(one, two, 20, 60_000);
      await delay(1500);
      change('add');
      await arrived;
      (await relay.client()).close();
      await endsWell(relay);
    },
  },
];

/** Opens connections that send nothing. */
async function silence(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    sockets.push(socket);
    if (i % 100 === 99) await delay(20);
  }
  return sockets;
}

async function servesAndEnds(relay: ChaosRelay, logins: number): Promise<void> {
  await relay.start();
  const [one, two] = [await relay.client(), await relay.client()];
  for (let i = 0; i < logins; i++) (await relay.client()).close();
  await exchange(one, two, 100);
  await endsWell(relay);
}

async function endsWell(relay: ChaosRelay): Promise<void> {
  assert.ok(relay.isAlive, relay.output);
  relay.kill('SIGTERM');
  // The default drain takes up to 15 s; a second signal ends it at once.
  await delay(200);
  relay.kill('SIGTERM');
  await relay.ended();
  assert.doesNotMatch(relay.output, /unexpected|\n {4}at /);
}

function memoryGroup(): string {
  for (const root of ['/sys/fs/cgroup/memory', '/sys/fs/cgroup']) {
    const group = `${root}/towpath-chaos-${process.pid}`;
    const limit = root.endsWith('memory') ? 'memory.limit_in_bytes' : 'memory.max';
    try {
      mkdirSync(group);
      writeFileSync(`${group}/${limit}`, String(MEMORY_BYTES));
      return group;
    } catch {
      continue;
    }
  }
  throw new NotPossible('no memory group can be made: it needs root and cgroups');
}

/** The library of faketime: in front of the runtime itself, since the program starts a shell. */
function library(): string {
  const { stdout } = spawnSync(
    'sh',
    ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1 /usr/lib/faketime/libfaketime.so.1 2> /dev/null'],
    {
      encoding: 'utf8',
    },
  );
  const file = stdout.split('\n')[0];
  if (file === undefined || file === '') throw new NotPossible('libfaketime is not installed');
  return file;
}
