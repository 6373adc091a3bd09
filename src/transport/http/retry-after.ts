/**
 * Reads the `Retry-After` header of an answer, which is a number of seconds or a date (RFC 9110 §10.2.3). Returns the
 * time to wait in milliseconds from `now`, at least 0; null when there is no header or it cannot be read. `now` is
 * milliseconds since 1970.
 */
export function retryAfterMs(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? '';
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? null : Math.max(ms, 0);
}
