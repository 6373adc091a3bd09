import type { ThreadRow } from '../../api/shapes.ts';
import type { ThreadState } from '../threads/thread-state.ts';
import { droppedPackets } from './sampler.ts';

/** Returns a relay thread, as the API gives it. */
export function threadRowOf(state: ThreadState): ThreadRow {
  const { index, isRunning, counters, queuedBytes, restarts, endedAtMs, problem } = state;
  return {
    ...{ index, isRunning },
    connections: counters?.connections ?? 0,
    receivedPackets: counters?.packetsReceived ?? 0,
    receivedBytes: counters?.bytesReceived ?? 0,
    sentPackets: counters?.packetsSent ?? 0,
    sentBytes: counters?.bytesSent ?? 0,
    droppedPackets: counters === null ? 0 : droppedPackets(counters),
    ...{ queuedBytes, restarts, problem },
    endedAt: endedAtMs === null ? null : new Date(endedAtMs).toISOString(),
  };
}
