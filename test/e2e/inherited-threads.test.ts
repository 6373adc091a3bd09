import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { BUN, needsBun } from '../bun/installed.ts';
import { within } from '../service/support.ts';
import { InheritingRelay, PATIENCE_MS } from './inheriting-relay.ts';

// Only Node gives access to the descriptors of its sockets. The relay that gets them runs on both runtimes.
const skip = 'bun' in process.versions ? 'needs Node to open the sockets' : false;
const { unavailable } = await loadSystemCalls();

describe('several relay threads on Node with sockets from systemd', { skip }, () => {
  if (unavailable === null) sharedSockets(process.execPath);
  else {
    it('are one thread where the runtime has no system calls, and the log says why', () =>
      withRelay(process.execPath, async (relay) => {
        await relay.prints(/"msg":"towpath started"/);
        await relay.prints(
          /"threads":2,"msg":"the relay uses one thread: [^"]*sockets[^"]*: Node 24[^"]* has no node:ffi, Node 26 has"/,
        );
        await relay.client();
      }));
  }
});

describe(
  'several relay threads on Bun with sockets from systemd',
  { skip: BUN === null ? needsBun.skip : skip },
  () => {
    if (BUN !== null) sharedSockets(BUN);
  },
);

function sharedSockets(program: string): void {
  const relay = new InheritingRelay(program);
  before(() => relay.start());
  after(() => relay.clean());

  it('accept clients in each thread, and packets go from one to the other', async () => {
    const [main, other] = await relay.clientOfEachThread();
    await exchange(main, other);
    await exchange(other, main);
  });

  it('are replaced by the next process, which has as many, and no connection is refused meanwhile', async () => {
    relay.closeClients();
    const refused: unknown[] = [];
    let connected = 0;
    let isOver = false;
    const connecting = (async () => {
      while (!isOver) {
        const socket = connect(relay.port, '127.0.0.1');
        await once(socket, 'connect').then(
          () => connected++,
          (error: unknown) => refused.push(error),
        );
        socket.on('error', () => undefined).destroy();
      }
    })();
    try {
      await relay.replace();
    } finally {
      isOver = true;
      await connecting;
    }
    assert.deepEqual(refused, []);
    assert.ok(connected > 0);
    const [main, other] = await relay.clientOfEachThread();
    await exchange(main, other);
  });
}

/** Sends a packet and waits for it. */
async function exchange(from: DerpClient, to: DerpClient): Promise<void> {
  const arrived = new Promise<string>((resolve) => {
    to.handler = { packet: (_source, buffer, at, end) => resolve(buffer.toString('utf8', at, end)) };
  });
  assert.ok(from.send(to.publicKey, Buffer.from('across')));
  assert.equal(await within(arrived, 'the packet', PATIENCE_MS), 'across');
}

async function withRelay(program: string, run: (relay: InheritingRelay) => Promise<void>): Promise<void> {
  const relay = new InheritingRelay(program);
  try {
    await relay.start();
    await run(relay);
  } finally {
    await relay.clean();
  }
}
