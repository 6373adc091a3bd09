import { timingSafeEqual } from 'node:crypto';

/**
 * Returns the one of our mesh keys that a client has sent, or null. Each has 32 bytes. The comparison takes constant
 * time, and all keys are compared.
 */
export function findMeshKey(keys: readonly Buffer[], shown: Buffer): Buffer | null {
  let found: Buffer | null = null;
  for (const key of keys) if (timingSafeEqual(key, shown)) found = key;
  return found;
}
