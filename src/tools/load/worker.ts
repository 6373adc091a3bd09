import { parentPort, workerData } from 'node:worker_threads';
import { transport } from '../../transport/runtime.ts';
import { Engine } from './engine.ts';
import type { ToWorker } from './messages.ts';
import type { WorkerPlan } from './plan.ts';

/** The main module of a worker thread: it connects one engine with the coordinator. */
if (parentPort !== null) {
  const port = parentPort;
  const engine = new Engine(workerData as WorkerPlan, transport, (message) => port.postMessage(message));
  port.on('message', (message: ToWorker) => engine.receive(message));
  void engine.run().then(() => port.close());
}
