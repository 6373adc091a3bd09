import { TowpathError } from '../errors.ts';
import type { Transport } from './port.ts';

async function loadTransport(): Promise<Transport> {
  if ('bun' in process.versions) {
    throw new TowpathError('TOWPATH_RUNTIME', 'This version of towpath has no Bun adapter yet.', {
      hint: 'Run it with Node 24.11 or later.',
    });
  }
  const { createNodeTransport } = await import('./node/index.ts');
  return createNodeTransport();
}

/** The sockets of the runtime that this process runs on. Adapters are loaded on demand: each needs its own runtime. */
export const transport: Transport = await loadTransport();
