/** Numbers as people read them. Every function takes plain values and returns text; null gives a dash. */
import { formatDuration } from '../src/base/duration.ts';

const DASH = '–';
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Returns bytes with three digits: `1.25 MB`. A kilobyte has 1000 bytes. */
export function bytes(value: number | null): string {
  if (value === null) return DASH;
  let unit = 0;
  let size = value;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(size) : threeDigits(size)} ${UNITS[unit]!}`;
}

/** Returns bytes per second. */
export function rate(value: number | null): string {
  return value === null ? DASH : `${bytes(value)}/s`;
}

/** Returns a whole number with spaces between thousands. */
export function count(value: number | null): string {
  if (value === null) return DASH;
  const digits = String(Math.round(value));
  const groups: string[] = [];
  for (let end = digits.length; end > 0; end -= 3) groups.unshift(digits.slice(Math.max(0, end - 3), end));
  return groups.join('\u202f');
}

/** Returns the two largest units of a time: `3 d 4 h`, `12 s`. */
export function duration(seconds: number | null): string {
  return seconds === null ? DASH : formatDuration(seconds);
}

/** Returns a short time: `350 µs`, `12 ms`, `1.5 s`. */
export function milliseconds(seconds: number | null): string {
  if (seconds === null) return DASH;
  if (seconds >= 1) return `${threeDigits(seconds)} s`;
  if (seconds >= 0.001) return `${threeDigits(seconds * 1000)} ms`;
  return `${Math.round(seconds * 1_000_000)} µs`;
}

/** Returns a share, where 1 is all of it: `12 %`. */
export function percent(share: number | null): string {
  if (share === null) return DASH;
  const value = share * 100;
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} %`;
}

/** Returns a time of the API as local date and time. */
export function localTime(iso: string): string {
  return new Date(iso).toLocaleString();
}

function threeDigits(value: number): string {
  return value >= 99.95 ? String(Math.round(value)) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
