import type { Transport } from '../port.ts';

/** The same transport, but each of its connections starts with `preamble`: a PROXY header, for one. */
export function withPreamble(transport: Transport, preamble: Buffer): Transport {
  return { ...transport, connect: (options, handler) => transport.connect({ ...options, preamble }, handler) };
}
