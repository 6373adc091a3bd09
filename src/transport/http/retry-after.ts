/**
 * How long the `Retry-After` of an answer asks to wait, in milliseconds from `now` and not below 0: it is a number of
 * seconds or a date (RFC 9110 §10.2.3). Null when there is none or it cannot be read. `now` is milliseconds since 1970.
 */
export function retryAfterMs(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? '';
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? null : Math.max(ms, 0);
}
