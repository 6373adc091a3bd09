import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

const DEADLINE_MS = 60_000;
const LOOK_AGAIN_MS = 50;
const COME_AGAIN_MS = 200;
const FEW_DESCRIPTORS = 60;
/** Fewer than the connections that are open then. */
const FEWER_DESCRIPTORS = 30;
const hasPrlimit = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;

function limitOpenFiles(pid: number, count: number): void {
  const { status, stderr } = spawnSync('prlimit', [`--pid=${pid}`, `--nofile=${count}:`]);
  assert.equal(status, 0, String(stderr));
}

/** Waits until the answer of `/readyz` matches. */
async function ready(admin: number, wanted: RegExp): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  let last = '';
  while (performance.now() < deadline) {
    try {
      const answer = await fetch(`http://127.0.0.1:${admin}/readyz`);
      last = `${answer.status} ${await answer.text()}`;
    } catch (error) {
      last = String(error);
    }
    if (wanted.test(last)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  assert.fail(`not within ${DEADLINE_MS} ms: ${String(wanted)}; the last answer was: ${last}`);
}

/** Silent connections that are opened again when the relay has ended them, which it does soon when there are many. */
class Crowd {
  readonly #sockets = new Set<Socket>();
  #isLeaving = false;

  hold(port: number): void {
    const socket = connect({ port, host: '127.0.0.1' });
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (!this.#isLeaving) setTimeout(() => this.#isLeaving || this.hold(port), COME_AGAIN_MS);
    });
  }

  leave(): void {
    this.#isLeaving = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

suite('a process that runs out of descriptors', { skip: !hasPrlimit }, () => {
  test('lives on, says why it is not ready, and recovers', async () => {
    const relay = new RelayProcess([...FREE_PORTS, '--no-self-test']);
    const crowd = new Crowd();
    try {
      const [port, admin] = [await relay.port('DERP'), await relay.port('admin')];
      const pid = relay.child.pid!;
      await ready(admin, /^200/);
      const own = readdirSync(`/proc/${pid}/fd`).length;
      const limit = own + FEW_DESCRIPTORS;
      limitOpenFiles(pid, limit);
      await relay.says(new RegExp(`"openFiles":${limit}`));
      for (let i = 0; i < limit + 100; i++) crowd.hold(port);
      await ready(admin, /^503 descriptors: as many connections are open/);
      // No descriptors are free until the relay notices the new limit. This time is too short for a check.
      limitOpenFiles(pid, own + FEWER_DESCRIPTORS);
      await relay.says(new RegExp(`"openFiles":${own + FEWER_DESCRIPTORS}`));
      await ready(admin, /^503 descriptors: /);
      crowd.leave();
      limitOpenFiles(pid, limit);
      await ready(admin, /^200/);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
    } finally {
      crowd.leave();
      await relay.clean();
    }
  });
});
