import { readSystemFile } from './proc-file.ts';

/** Open files that a process may have, without bound as infinity; null where that cannot be told. Linux only. */
export function openFileLimit(process: 'self' | number): number | null {
  const text = readSystemFile(`/proc/${process}/limits`);
  return text === null ? null : parseOpenFileLimit(text);
}

/** The soft limit, which is the one that counts, in the text of `/proc/PID/limits`. */
export function parseOpenFileLimit(text: string): number | null {
  const soft = /^Max open files +(\d+|unlimited)/m.exec(text)?.[1];
  if (soft === undefined) return null;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}
