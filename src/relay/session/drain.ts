import type { Clock } from '../../base/clock.ts';
import { shuffled } from '../../base/shuffled.ts';
import type { Session } from './session.ts';

/** Clients are asked to try again for this long. */
const TRY_FOR_MS = 60_000;

/** The plan for ending connections before a restart. */
export interface DrainPlan {
  /** Longest time over which the ends are spread; few connections need less. */
  readonly seconds: number;
  /**
   * Connections closed per second, as many as the next process can accept; 0: spread over the whole time. A short time
   * is better: a client that has moved does not reach one that is still here.
   */
  readonly closesPerSecond: number;
  /** Each client is told to reconnect after a time between these. */
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

/**
 * Ends all sessions within the drain time. Each client is told its own time to reconnect. Then connections are closed
 * in random order, a batch per clock tick, so that the clients do not all return at once.
 */
export async function drainSessions(sessions: readonly Session[], plan: DrainPlan, clock: Clock): Promise<void> {
  const { reconnectMinMs, reconnectMaxMs } = plan;
  for (const session of sessions) {
    session.restarting(Math.round(reconnectMinMs + Math.random() * (reconnectMaxMs - reconnectMinMs)), TRY_FOR_MS);
  }
  // Links of other relays are closed last: through them, the other relays learn which clients have left.
  const waiting = shuffled(sessions).sort((a, b) => Number(b.meshKey !== null) - Number(a.meshKey !== null));
  const total = waiting.length;
  if (total === 0) return;
  const startedAt = clock.readNow();
  const needed = plan.closesPerSecond === 0 ? Infinity : total / plan.closesPerSecond;
  const drainMs = 1000 * Math.min(plan.seconds, needed);
  await new Promise<void>((resolve) => {
    const stop = clock.onTick((now) => {
      const share = drainMs === 0 ? 1 : (now - startedAt) / drainMs;
      // Rounded, so that a few connections are also spread over the time.
      const left = Math.max(0, Math.round(total * (1 - share)));
      while (waiting.length > left) waiting.pop()!.finish();
      if (waiting.length > 0) return;
      stop();
      resolve();
    });
  });
}
