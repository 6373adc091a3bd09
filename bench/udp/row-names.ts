/** The measurements, in this order. The time to the first pong is always measured. */
export const ROWS = ['transfer', 'load', 'endpoints', 'floods', 'restart', 'idle'] as const;
export type RowName = (typeof ROWS)[number];
