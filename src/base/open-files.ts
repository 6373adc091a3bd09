import { readSystemFile } from './proc-file.ts';

/** Returns how many open files a process may have, Infinity without a limit; null when that is unknown. Linux only. */
export function openFileLimit(process: 'self' | number): number | null {
  const text = readSystemFile(`/proc/${process}/limits`);
  return text === null ? null : parseOpenFileLimit(text);
}

/** Reads the soft limit, which is the effective one, from the text of `/proc/PID/limits`. */
export function parseOpenFileLimit(text: string): number | null {
  const soft = /^Max open files +(\d+|unlimited)/m.exec(text)?.[1];
  if (soft === undefined) return null;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}
