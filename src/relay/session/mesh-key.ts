import { timingSafeEqual } from 'node:crypto';

/**
 * Which of our mesh keys a client has shown, or null. Each is 32 bytes. The comparison takes the same time wherever they
 * differ, and all keys are compared.
 */
export function findMeshKey(keys: readonly Buffer[], shown: Buffer): Buffer | null {
  let found: Buffer | null = null;
  for (const key of keys) if (timingSafeEqual(key, shown)) found = key;
  return found;
}
