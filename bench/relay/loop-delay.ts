/** How late timers of a relay fired. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What the line begins with in which a relay under test says its {@link LoopDelay}. */
export const LOOP_DELAY_MARK = 'bench-loop-delay ';
