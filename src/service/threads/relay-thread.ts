import { MessageChannel, Worker } from 'node:worker_threads';
import { threadModule } from '../../base/thread-module.ts';
import type { CounterValues } from '../../observe/counters.ts';
import type { RelayThreadData, ServiceNote, ServiceRequests, ThreadNote, ThreadRequests } from './messages.ts';
import { type Answers, RequestPort } from './request-port.ts';

/** Receives the events of one relay thread. */
export interface ThreadListener {
  readonly answers: Answers<ServiceRequests>;
  noted(note: Exclude<ServiceNote, { kind: 'started' | 'counted' }>): void;
  /** It has ended, and was not told to. */
  ended(thread: RelayThreadProcess, error: Error): void;
}

/** One relay thread as the service has it, from its start to its end. */
export class RelayThreadProcess {
  readonly index: number;
  readonly port: RequestPort<ThreadRequests, ServiceRequests, ThreadNote, ServiceNote>;
  /** Resolves when it runs; rejects when it ends before. */
  readonly started: Promise<unknown>;
  /** What it has told last; null before the first time. */
  counters: CounterValues | null = null;
  /** Sessions of all states. */
  sessions = 0;
  /** Connections that are open. */
  open = 0;
  /** Memory of what waits to be written. */
  queuedBytes = 0;
  readonly #worker: Worker;
  #isEnding = false;

  /** `data` is what it is told, but for the port; `module` is what it runs. */
  constructor(
    index: number,
    data: Omit<RelayThreadData, 'port' | 'index'>,
    listener: ThreadListener,
    module: URL = threadModule('service/threads/thread'),
  ) {
    this.index = index;
    const { port1, port2 } = new MessageChannel();
    const workerData: RelayThreadData = { ...data, index, port: port2 };
    this.#worker = new Worker(module, { workerData, transferList: [port2], name: `relay ${index}` });
    let failure: Error | null = null;
    this.#worker.on('error', (error: Error) => (failure ??= error));
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.started = promise;
    this.port = new RequestPort<ThreadRequests, ServiceRequests, ThreadNote, ServiceNote>(
      port1,
      listener.answers,
      (note) => {
        if (note.kind === 'started') {
          resolve(undefined);
        } else if (note.kind === 'counted') {
          this.counters = note.counters;
          this.sessions = note.sessions;
          this.open = note.open;
          this.queuedBytes = note.queuedBytes;
        } else {
          listener.noted(note);
        }
      },
    );
    this.#worker.once('exit', (code) => {
      const error = failure ?? new Error(`the thread ended with code ${code}`);
      this.port.close(error);
      reject(error);
      if (!this.#isEnding) listener.ended(this, error);
    });
    // Callers that wait for it get the error; a missing caller is fine.
    promise.catch(() => undefined);
  }

  /** Ends it at once, as a fault of its own would; another one takes its place. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Ends it permanently. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#worker.terminate();
  }
}
