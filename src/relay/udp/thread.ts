import { workerData } from 'node:worker_threads';
import { makeRelayRules } from './make-rules.ts';
import { runUdpThread } from './run-thread.ts';
import type { UdpThreadData } from './thread-messages.ts';

/** The start of the UDP thread. */
await runUdpThread(workerData as UdpThreadData, makeRelayRules);
