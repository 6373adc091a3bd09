import { readFileSync } from 'node:fs';

/** Reads the file of `-rate-config` (protocol reference §4.8): keys in any case, others ignored, both optional. */
export function parseRateConfig(path: string): { bytesPerSecond: number; burstBytes: number } {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not a JSON object');
  const entries = new Map(Object.entries(value).map(([name, entry]: [string, unknown]) => [name.toLowerCase(), entry]));
  const read = (name: string): number => {
    const entry = entries.get(name.toLowerCase()) ?? 0;
    if (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0) return entry;
    throw new Error(`${name} is not a whole number`);
  };
  return { bytesPerSecond: read('PerClientRateLimitBytesPerSec'), burstBytes: read('PerClientRateBurstBytes') };
}
