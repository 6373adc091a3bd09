import type { Clock } from './clock.ts';

/**
 * Resolves after `ms` milliseconds of the clock, as soon as `isOver` says so at a tick, or as soon as `signal` is aborted,
 * which counts even when the clock stands still.
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
