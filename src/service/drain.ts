import type { Clock } from '../base/clock.ts';
import type { DrainConfig } from '../config/schema.ts';
import type { Session } from '../relay/session/session.ts';

/** Clients are asked to try again for this long. */
const TRY_FOR_MS = 60_000;

/**
 * Ends all sessions within the drain time: each client is told when to come back, at a time of its own, and then
 * connections are closed in random order, a batch per clock tick, so that the clients do not all return at once.
 */
export async function drain(sessions: ReadonlyMap<unknown, Session>, config: DrainConfig, clock: Clock): Promise<void> {
  const { reconnectMinMs, reconnectMaxMs } = config;
  for (const session of sessions.values()) {
    session.restarting(Math.round(reconnectMinMs + Math.random() * (reconnectMaxMs - reconnectMinMs)), TRY_FOR_MS);
  }
  const waiting = shuffled([...sessions.values()]);
  const total = waiting.length;
  if (total === 0) return;
  const startedAt = performance.now();
  const drainMs = config.seconds * 1000;
  await new Promise<void>((resolve) => {
    const stop = clock.onTick((now) => {
      const share = drainMs === 0 ? 1 : (now - startedAt) / drainMs;
      // Rounded, so that a few connections are spread over the time as well.
      const left = Math.max(0, Math.round(total * (1 - share)));
      while (waiting.length > left) waiting.pop()!.finish();
      if (waiting.length > 0) return;
      stop();
      resolve();
    });
  });
}

function shuffled<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
