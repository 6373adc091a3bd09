/** 64 hex digits. */
export function hexKey(seed: number): string {
  return seed.toString(16).padStart(64, '0');
}
