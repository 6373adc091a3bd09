import { randomBytes } from 'node:crypto';
import { workerData } from 'node:worker_threads';
import type { MakeDatagramRules } from './port.ts';
import { UdpRelayRules, type UdpRelaySettings } from './rules.ts';
import { runUdpThread } from './run-thread.ts';
import { createStunOnly } from './stun-only.ts';
import type { UdpThreadData } from './thread-messages.ts';

const makeRules: MakeDatagramRules<UdpRelaySettings | null> = (settings, memory, places, now) =>
  settings === null ? createStunOnly() : new UdpRelayRules(settings, memory, places, now, randomBytes);

/** The start of the UDP thread. */
await runUdpThread(workerData as UdpThreadData, makeRules);
