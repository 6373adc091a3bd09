/** What is measured, in this order; the first pong always is. */
export const ROWS = ['transfer', 'load', 'endpoints', 'floods', 'restart', 'idle'] as const;
export type RowName = (typeof ROWS)[number];
