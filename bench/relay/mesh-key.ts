import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes a mesh key, as 64 hex digits, and a file in `dir` that holds it. */
export function makeMeshKey(dir: string): { readonly key: string; readonly keyFile: string } {
  const key = randomBytes(32).toString('hex');
  const keyFile = join(dir, 'mesh.key');
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  return { key, keyFile };
}
