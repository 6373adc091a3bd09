/** How late timers of a relay fired. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Start of the line with the {@link LoopDelay} of a relay under test. */
export const LOOP_DELAY_MARK = 'bench-loop-delay ';
