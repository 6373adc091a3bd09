import type { MetricKind } from './metrics.ts';

/** Returns a metric's value as text for people. */
export function formatMetric(value: number, kind: MetricKind): string {
  switch (kind) {
    case 'share':
      return formatShare(value);
    case 'index':
      return value.toFixed(4);
    case 'time':
      return formatMs(value);
    case 'count':
      return formatCount(value);
    case 'rate':
      return `${formatCount(value)}/s`;
    case 'bits':
      return formatBits(value);
    case 'bytes':
      return formatBytes(value);
    case 'flag':
      return value > 0 ? 'true' : 'false';
  }
}

/** Milliseconds with three digits, or a dash for null. */
export function formatMs(ms: number | null): string {
  if (ms === null) return '–';
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

/** A part of 1 in percent; what is not whole is never rounded to 0 % or to 100 %. */
export function formatShare(share: number | null): string {
  if (share === null) return '–';
  const percent = share * 100;
  for (const digits of [2, 4, 6]) {
    const text = percent.toFixed(digits);
    const hides = (percent > 0 && Number(text) === 0) || (percent < 100 && Number(text) === 100);
    if (!hides) return `${Number(text)} %`;
  }
  return percent < 50 ? '>0 %' : '<100 %';
}

/** A number of things: whole up to 10,000, then in thousands or millions. */
export function formatCount(count: number): string {
  if (count >= 10_000_000) return `${(count / 1e6).toFixed(1)} M`;
  if (count >= 10_000) return `${(count / 1e3).toFixed(1)} k`;
  return String(Math.round(count * 10) / 10);
}

/** Bits per second. */
export function formatBits(bits: number): string {
  if (bits >= 1e9) return `${(bits / 1e9).toFixed(2)} Gbit/s`;
  if (bits >= 1e6) return `${(bits / 1e6).toFixed(1)} Mbit/s`;
  return `${(bits / 1e3).toFixed(1)} kbit/s`;
}

/** Bytes of memory. */
export function formatBytes(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 10).toFixed(1)} KiB`;
}
