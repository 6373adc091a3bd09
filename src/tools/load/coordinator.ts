/**
 * The load tester of `towpath load`. This file starts worker threads (`worker.ts`), which hold the clients (`engine.ts`), and
 * adds up what they measure (`collector.ts`). The reports are `summary.ts`, `json-report.ts` and `html-report.ts`.
 */
import { Worker } from 'node:worker_threads';
import { errorMessage, TowpathError } from '../../base/errors.ts';
import { threadModule } from '../../base/thread-module.ts';
import { Collector } from './collector.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { divide, type LoadPlan } from './plan.ts';
import type { LoadResult, TimelinePoint } from './result.ts';
import type { ServerProcess } from './server-process.ts';

/** How long workers may take to end, after the time for packets in flight. */
const END_PATIENCE_MS = 5000;

/** Receives the progress of a run. */
export interface LoadObserver {
  /** Number of open connections of pairs and stalled receivers. */
  opening(opened: number): void;
  /** A new point of the timeline. */
  point(point: TimelinePoint): void;
}

/**
 * Runs a load test to its end and returns the result. `stop` ends it early, with the result so far. Rejects with a
 * TowpathError when the connections that it needs cannot be opened.
 */
export async function runLoad(
  plan: LoadPlan,
  server: ServerProcess | null,
  observer: LoadObserver,
  stop: AbortSignal,
): Promise<LoadResult> {
  const run = new Coordinator(plan, server, observer);
  const onStop = (): void => run.interrupt();
  stop.addEventListener('abort', onStop);
  try {
    return await run.result;
  } finally {
    stop.removeEventListener('abort', onStop);
    await run.end();
  }
}

/** One run: starts the workers at the same moment, listens to them, and ends them. */
class Coordinator {
  readonly result: Promise<LoadResult>;
  readonly #plan: LoadPlan;
  readonly #observer: LoadObserver;
  readonly #collector: Collector;
  readonly #workers: Worker[];
  readonly #opened: number[];
  readonly #resolve: (result: LoadResult) => void;
  readonly #reject: (error: TowpathError) => void;
  #ready = 0;
  #done = 0;
  #begun = false;
  #stopped = false;
  #interrupted = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(plan: LoadPlan, server: ServerProcess | null, observer: LoadObserver) {
    const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#plan = plan;
    this.#observer = observer;
    this.#collector = new Collector(plan, server);
    this.#opened = Array.from({ length: plan.workers }, () => 0);
    this.#workers = divide(plan).map((part) => {
      const worker = new Worker(threadModule('tools/load/worker'), { workerData: part });
      worker.on('message', (message: FromWorker) => this.#receive(message));
      worker.on('error', (error: unknown) => this.#crashed(error));
      return worker;
    });
  }

  /** Ends the run early. */
  interrupt(): void {
    this.#interrupted = true;
    if (this.#begun) this.#stop();
    else this.#reject(new TowpathError('TOWPATH_LOAD_INTERRUPTED', 'interrupted before the traffic started'));
  }

  /** Ends all threads. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'opening':
        this.#opened[message.worker] = message.opened;
        this.#observer.opening(this.#opened.reduce((sum, opened) => sum + opened, 0));
        break;
      case 'ready':
        this.#ready++;
        if (this.#ready === this.#plan.workers) this.#begin();
        break;
      case 'sample':
        this.#sample(message);
        break;
      case 'done':
        this.#collector.done(message);
        this.#done++;
        if (this.#done === this.#plan.workers) this.#resolve(this.#collector.result(this.#interrupted));
        break;
      case 'failed':
        this.#reject(
          new TowpathError(message.code, message.message, message.hint === '' ? {} : { hint: message.hint }),
        );
    }
  }

  #begin(): void {
    this.#begun = true;
    this.#collector.begin();
    this.#tell({ kind: 'begin' });
    const { warmUpMs, durationMs, sampleMs } = this.#plan;
    // Waits half a sample longer, so that the last whole sample is included.
    this.#timer = setTimeout(() => this.#stop(), warmUpMs + durationMs + sampleMs / 2);
  }

  #sample(message: Extract<FromWorker, { kind: 'sample' }>): void {
    const point = this.#collector.take(message);
    if (point === null || this.#stopped) return;
    this.#observer.point(point);
    // Nothing is left to measure.
    if (this.#plan.groups.length > 0 && point.openPairs === 0) this.#stop();
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#tell({ kind: 'stop' });
    this.#timer = setTimeout(() => {
      this.#reject(new TowpathError('TOWPATH_LOAD_WORKER', 'the worker threads do not stop: they are overloaded'));
    }, this.#plan.drainMs + END_PATIENCE_MS);
  }

  #tell(message: ToWorker): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  #crashed(error: unknown): void {
    this.#reject(
      new TowpathError('TOWPATH_LOAD_WORKER', `a worker thread ended: ${errorMessage(error)}`, { cause: error }),
    );
  }
}
