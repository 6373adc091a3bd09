/**
 * A relay inside another program, for example inside a test: `import { startRelay } from 'towpath'`.
 *
 * What the file configuration can say, the options can say, in the same words. By default the relay is for this process
 * alone: free ports of the loopback, a key and a certificate in a temporary folder that goes with it, nothing logged.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import { advertisedMap } from './derp-map/advertised-map.ts';
import { loadConfig } from './config/load.ts';
import type { Config, ListenAddress } from './config/schema.ts';
import type { Counters } from './observe/counters.ts';
import { Service } from './service/service.ts';
import type { RelayAddresses } from './service/listeners.ts';
import { transport } from './transport/runtime.ts';
import type { DerpMap } from './derp-map/derp-map.ts';
import { formatHostPort } from './base/ip-address.ts';
import { formatNodeKey } from './wire/keys.ts';

/** A value of the configuration as a file writes it: addresses are text, lists may be text with commas, all is optional. */
type Written<T> = T extends ListenAddress
  ? string
  : T extends readonly (infer Entry)[]
    ? string | readonly Written<Entry>[]
    : T extends object
      ? { readonly [Name in keyof T]?: Written<T[Name]> | string }
      : T;

/** Options of {@link startRelay}: the keys of docs/configuration.md. */
export type RelayOptions = { readonly [Name in keyof Config]?: Written<Config[Name]> | string };

/** A relay that runs in this process. */
export interface StartedRelay {
  /** Where DERP is served, for clients that take a URL: `https://127.0.0.1:41234/derp`. */
  readonly url: string;
  /** The map to give to clients: one region with this relay, its real ports, and the pin of its certificate. */
  readonly derpMap: DerpMap;
  /** The public key of the relay, `nodekey:` and 64 hex digits. */
  readonly publicKey: string;
  /** The ports that it has opened. */
  readonly addresses: RelayAddresses;
  /** The counts until now. The object stays the same and its numbers grow; do not write to it. */
  readonly counters: Readonly<Counters>;
  /** Ends all connections and frees the ports. Resolves when nothing of the relay is left. */
  close(): Promise<void>;
}

/**
 * Starts a relay in this process; `log` is a pino logger for its messages. Rejects with a TowpathError: its
 * `code` is stable (`TOWPATH_CONFIG_INVALID`, `TOWPATH_LISTEN_…`), its `message` says which option is wrong and why.
 */
export async function startRelay(
  options: RelayOptions = {},
  log: Logger = pino({ level: 'silent' }),
): Promise<StartedRelay> {
  const folder = mkdtempSync(join(tmpdir(), 'towpath-'));
  const forget = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const { config } = loadConfig({ values: { ...localDefaults(folder), ...options } });
    const service = new Service(config, transport, log);
    await service.start();
    return {
      ...describe(config, service),
      async close(): Promise<void> {
        await service.close();
        forget();
      },
    };
  } catch (error) {
    forget();
    throw error;
  }
}

function localDefaults(folder: string): RelayOptions {
  return {
    listen: '127.0.0.1:0',
    http: 'off',
    stun: '127.0.0.1:0',
    admin: 'off',
    hostname: '127.0.0.1',
    keyFile: join(folder, 'derper.key'),
    certificate: { directory: join(folder, 'certificates') },
    accounting: { directory: join(folder, 'accounting') },
    selfTest: false,
  };
}

function describe(config: Config, service: Service): Omit<StartedRelay, 'close'> {
  const { addresses, counters, keyPair } = service;
  const [derp] = addresses.derp;
  const [stun] = addresses.stun;
  const real: Config = {
    ...config,
    derpPort: config.derpPort ?? derp!.port,
    stun: { ...config.stun, advertisedPort: config.stun.advertisedPort ?? stun?.port },
  };
  const { ip, port } = derp!;
  const scheme = config.transport === 'tls' ? 'https' : 'http';
  return {
    url: `${scheme}://${formatHostPort(config.hostname ?? ip, port)}/derp`,
    derpMap: advertisedMap(real, service.certificate.info()).map,
    publicKey: formatNodeKey(keyPair.publicKey),
    addresses,
    counters,
  };
}
