import type { Clock } from './clock.ts';

/**
 * Resolves after `ms` milliseconds of the clock, when `isOver` returns true at a tick, or when `signal` is aborted,
 * even if the clock has stopped.
 */
export function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  isOver: () => boolean = () => false,
): Promise<void> {
  const end = clock.now + ms;
  return new Promise((resolve) => {
    const done = (): void => {
      leave();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const leave = clock.onTick((now) => {
      if (now >= end || isOver()) done();
    });
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
