import { MessageChannel, Worker } from 'node:worker_threads';
import { threadModule } from '../../base/thread-module.ts';
import type { CounterValues } from '../../observe/counters.ts';
import type { RelayThreadData, ServiceNote, ServiceRequests, ThreadNote, ThreadRequests } from './messages.ts';
import { type Answers, RequestPort } from './request-port.ts';

/** Receives the events of one relay thread. */
export interface ThreadListener {
  readonly answers: Answers<ServiceRequests>;
  noted(note: Exclude<ServiceNote, { kind: 'started' | 'counted' }>): void;
  /** Called when the thread has ended without a request. */
  ended(thread: RelayThreadProcess, error: Error): void;
}

/** One relay thread as the service has it, from its start to its end. */
export class RelayThreadProcess {
  readonly index: number;
  readonly port: RequestPort<ThreadRequests, ServiceRequests, ThreadNote, ServiceNote>;
  /** Resolves when it runs. Rejects when it ends before. */
  readonly started: Promise<unknown>;
  /** The counts that it has reported last; null before the first report. */
  counters: CounterValues | null = null;
  /** Sessions of all states. */
  sessions = 0;
  /** Connections that are open. */
  open = 0;
  /** Memory of the frames that wait to be written, in bytes. */
  queuedBytes = 0;
  readonly #worker: Worker;
  #isEnding = false;

  /** `data` is the start data without the port; `module` is what the thread runs. */
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

  /** Ends the thread at once, as a fault would. Another one is started instead. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Ends it permanently. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#worker.terminate();
  }
}
