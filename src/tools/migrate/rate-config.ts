import { readSmallBytes } from '../../base/file-stamp.ts';
import { parseForeignJson } from '../../wire/json.ts';

const LIMIT_BYTES = 1024 * 1024;
const RATE = 'PerClientRateLimitBytesPerSec';
const BURST = 'PerClientRateBurstBytes';

/**
 * Reads the file of `-rate-config` (protocol reference §4.8): keys in any case, each once, others ignored, both optional
 * (0). Throws an Error that says what is wrong with the file.
 */
export function parseRateConfig(path: string): { bytesPerSecond: number; burstBytes: number } {
  const value = parseForeignJson(readSmallBytes(path, LIMIT_BYTES), [RATE, BURST]);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not a JSON object');
  const entries = new Map(Object.entries(value).map(([name, entry]: [string, unknown]) => [name.toLowerCase(), entry]));
  const read = (name: string): number => {
    const entry = entries.get(name.toLowerCase()) ?? 0;
    if (typeof entry === 'number' && Number.isInteger(entry) && entry >= 0) return entry;
    throw new Error(`${name} is not a whole number`);
  };
  return { bytesPerSecond: read(RATE), burstBytes: read(BURST) };
}
