import { workerData } from 'node:worker_threads';
import type { RelayThreadData } from './messages.ts';
import { RelayThread } from './run-thread.ts';

/** The start of a relay thread. */
new RelayThread(workerData as RelayThreadData);
