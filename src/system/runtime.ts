import { createNoCalls } from './none.ts';
import type { SystemCalls } from './port.ts';

/**
 * The architectures for the layouts of `receive-batch.ts` and `send-batch.ts`: 64 bits, little-endian, Linux' own
 * numbers.
 */
const ARCHITECTURES: readonly string[] = ['x64', 'arm64'];

/**
 * Loads the system calls of the runtime that this thread runs on, or those of `none.ts` with the reason. Each thread
 * loads its own, because errno belongs to a thread. Never rejects.
 */
export async function loadSystemCalls(): Promise<SystemCalls> {
  const { platform, arch } = process;
  if (platform !== 'linux' || !ARCHITECTURES.includes(arch)) {
    return createNoCalls(`batches of datagrams need Linux on x64 or arm64; this is ${platform} on ${arch}`);
  }
  if ('bun' in process.versions) {
    const { createBunCalls } = await import('./bun.ts');
    return createBunCalls();
  }
  const { createNodeCalls } = await import('./node.ts');
  return createNodeCalls();
}
