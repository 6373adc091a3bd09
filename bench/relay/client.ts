import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../src/client/options.ts';
import { transport } from '../../src/transport/runtime.ts';
import type { RelayFiles } from './programs.ts';

/** Connects to a relay of the benchmark at HOST:PORT, and checks the pin of its certificate. */
export function connectTo(
  address: string,
  { pin }: RelayFiles,
  options: Omit<DerpClientOptions, 'transport' | 'url' | 'verify'>,
): Promise<DerpClient> {
  const verify = { kind: 'pin', sha256: pin.split(':')[1]! } as const;
  return connectDerp({ ...options, transport, url: `https://${address}/derp`, verify });
}
