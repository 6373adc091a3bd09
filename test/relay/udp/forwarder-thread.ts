import { workerData } from 'node:worker_threads';
import { runUdpThread } from '../../../src/relay/udp/run-thread.ts';
import type { UdpThreadData } from '../../../src/relay/udp/thread-messages.ts';
import { makeForwarder } from './forwarder.ts';

await runUdpThread(workerData as UdpThreadData, makeForwarder);
