import { setTimeout as sleep } from 'node:timers/promises';
import { Clock } from '../../src/base/clock.ts';
import { WATCH_CONNS_FRAME } from '../../src/wire/mesh-frames.ts';
import { Fresh, ORDINARY, type Case, type Sample } from './case.ts';
import { connectTo } from './client.ts';
import { LocalPair } from './local-pair.ts';
import { makeMeshKey } from './mesh-key.ts';
import type { RelayFiles } from './programs.ts';
import { type Server, ServerName } from './server.ts';
import { Sibling } from './sibling.ts';

const KEYS = 50_000;
const WARM_MS = 3000;
const AFTER_MS = 1500;
const PATIENCE_MS = 60_000;

/**
 * Measures a relay with many clients while another one joins: it must announce all of them, and a pair of its own clients must
 * not wait. The relay is that of `sibling-process.ts`; derper cannot have so many clients without their connections.
 */
export function announceCase(rounds: number): Case {
  return {
    name: 'announce',
    title: `a relay of ${KEYS} keys that another one joins, and a pair of its clients meanwhile`,
    metrics: [
      { key: 'toldMs', title: 'until all are announced, ms', digits: 0, ratio: false },
      { key: 'beforeMs', title: 'pair before: p99 ms', digits: 1, ratio: false },
      { key: 'p99Ms', title: 'meanwhile: p99 ms', digits: 1, ratio: false },
      { key: 'longestMs', title: 'longest ms', digits: 1, ratio: false },
    ],
    ...{ ...ORDINARY, fresh: Fresh.PerRound, rounds, servers: [ServerName.Node, ServerName.Bun] },
    run: measure,
  };
}

async function measure({ name }: Server, { files }: { readonly files: RelayFiles }): Promise<Sample> {
  const { key } = makeMeshKey(files.dir);
  const relay = await Sibling.start(files, key, name === ServerName.Bun ? 'bun' : 'node');
  try {
    await relay.addKeys(KEYS);
    await relay.listen();
    const address = `127.0.0.1:${relay.port}`;
    const pair = await LocalPair.connect(address, files);
    try {
      await sleep(WARM_MS);
      const beganAt = performance.now();
      const toldMs = await join(address, files, key);
      await sleep(AFTER_MS);
      const beforeMs = pair.delays(-Infinity, beganAt).p99Ms;
      const values = { toldMs, beforeMs, ...pair.delays(beganAt, Infinity) };
      return { values, foreignShare: null, notes: [] };
    } finally {
      pair.close();
    }
  } finally {
    relay.stop();
  }
}

/** Joins as another relay does; resolves with the time until all keys are announced, in milliseconds. */
async function join(address: string, files: RelayFiles, meshKey: string): Promise<number> {
  const clock = new Clock();
  clock.start();
  let announced = 0;
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const limit = setTimeout(() => reject(new Error(`${announced} of ${KEYS} keys announced`)), PATIENCE_MS);
  try {
    const link = await connectTo(address, files, {
      clock,
      info: { meshKey: Buffer.from(meshKey, 'hex') },
      handler: {
        peerPresent: () => {
          if (++announced === KEYS) resolve(undefined);
        },
      },
    });
    const startedAt = performance.now();
    link.sendFrame(WATCH_CONNS_FRAME);
    await promise;
    const ms = performance.now() - startedAt;
    link.abort();
    return ms;
  } finally {
    clearTimeout(limit);
    clock.stop();
  }
}
