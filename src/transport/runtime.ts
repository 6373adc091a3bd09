import type { Transport } from './port.ts';

async function loadTransport(): Promise<Transport> {
  if ('bun' in process.versions) {
    const { createBunTransport } = await import('./bun/index.ts');
    return createBunTransport();
  }
  const { createNodeTransport } = await import('./node/index.ts');
  return createNodeTransport();
}

/** The sockets of the runtime that this process runs on. Adapters are loaded on demand: each needs its own runtime. */
export const transport: Transport = await loadTransport();
