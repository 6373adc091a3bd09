import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../base/errors.ts';
import type { NumberedRequest, StoreAnswer, StoreRequest, StoreThreadData } from './store-messages.ts';
import { TrafficStore, type UsedBytes } from './traffic-store.ts';

/**
 * The main module of the accounting store's thread. It is separate because the disk may be slow, and SQLite waits for
 * it. A store that cannot be opened is tried again with the next request.
 */
const { path } = workerData as StoreThreadData;
let store: TrafficStore | null = null;

async function answer(request: StoreRequest): Promise<readonly UsedBytes[]> {
  if (request.kind === 'close') {
    store?.close();
    store = null;
    return [];
  }
  store ??= await TrafficStore.open(path);
  if (request.kind === 'used') return store.used(request.day);
  store.add(request.rows);
  if (request.forgetBefore !== null) store.forgetBefore(request.forgetBefore);
  return [];
}

/** The latest request. Requests run one after the other, in the order in which they arrive. */
let last: Promise<void> = Promise.resolve();
parentPort?.on('message', ({ id, request }: NumberedRequest) => {
  last = last.then(async () => {
    const tell = (told: StoreAnswer): void => parentPort?.postMessage(told);
    try {
      tell({ id, error: null, used: await answer(request) });
    } catch (error) {
      tell({ id, error: errorMessage(error), used: [] });
    }
    if (request.kind === 'close') parentPort?.close();
  });
});
