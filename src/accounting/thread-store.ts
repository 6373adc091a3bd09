import { Worker } from 'node:worker_threads';
import { threadModule } from '../base/thread-module.ts';
import type { NumberedRequest, StoreAnswer, StoreRequest, StoreThreadData } from './store-messages.ts';
import type { TrafficRow, UsedBytes } from './traffic-store.ts';

interface Waiting {
  readonly resolve: (answer: StoreAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** The accounting store in its own thread. The thread is started when it is needed, and again after it has ended. */
export class ThreadStore {
  readonly #path: string;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #lastId = 0;

  /** `path` is the file. Nothing is opened yet. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Adds rows, and deletes the days before `forgetBefore` if given. Rejects with SQLite's message. */
  async add(rows: readonly TrafficRow[], forgetBefore: string | null): Promise<void> {
    await this.#ask({ kind: 'add', rows, forgetBefore });
  }

  /** Returns the bytes that each key has sent in a day, and in its month so far. Rejects with SQLite's message. */
  async used(day: string): Promise<readonly UsedBytes[]> {
    return (await this.#ask({ kind: 'used', day })).used;
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    await this.#ask({ kind: 'close' }).catch(() => undefined);
    await worker.terminate();
  }

  async #ask(request: StoreRequest): Promise<StoreAnswer> {
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastId;
    const answer = await new Promise<StoreAnswer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const numbered: NumberedRequest = { id, request };
      worker.postMessage(numbered);
    });
    if (answer.error !== null) throw new Error(answer.error);
    return answer;
  }

  #start(): Worker {
    const data: StoreThreadData = { path: this.#path };
    const worker = new Worker(threadModule('accounting/store-thread'), { workerData: data });
    // The thread must not keep an ending process alive.
    worker.unref();
    let failure = new Error('the thread of the accounting has ended');
    worker.on('message', (answer: StoreAnswer) => {
      this.#waiting.get(answer.id)?.resolve(answer);
      this.#waiting.delete(answer.id);
    });
    worker.on('error', (error: Error) => (failure = error));
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = null;
      for (const { reject } of this.#waiting.values()) reject(failure);
      this.#waiting.clear();
    });
    return worker;
  }
}
