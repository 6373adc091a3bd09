import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { CertificateSource } from '../../certificates/source.ts';
import type { Config } from '../../config/schema.ts';
import type { RelayEvents } from '../../relay/relay.ts';
import type { ThreadHttpSettings } from './messages.ts';
import { ConnectedKeys } from './connected-keys.ts';
import { RelayThreads, type RelayThreadsParts } from './relay-threads.ts';

/** Fewest cores for several threads. With fewer cores, more threads cost more than they gain. */
const LEAST_CORES = 4;
const MOST_BY_ITSELF = 8;

/**
 * Returns the number of relay threads. It is one when the sockets come from a service manager and threads cannot share
 * them (`unshared`, the reason; null: they can, or there are none).
 */
export function threadCount(
  { threads }: Pick<Config, 'threads'>,
  unshared: string | null,
  log: Logger,
  cores: number = availableParallelism(),
): number {
  const auto = cores < LEAST_CORES ? 1 : Math.min(Math.floor(cores / 2), MOST_BY_ITSELF);
  const count = threads === 'auto' ? auto : threads;
  if (count === 1 || unshared === null) return count;
  const why = `threads cannot share the sockets from the service manager: ${unshared}`;
  if (threads === 'auto') log.info(`the relay uses one thread: ${why}`);
  else log.warn({ threads: count }, `the relay uses one thread: ${why}`);
  return 1;
}

interface OpenThreadsParts extends Pick<
  RelayThreadsParts,
  'relay' | 'memory' | 'settings' | 'admission' | 'clock' | 'log'
> {
  readonly config: () => Config;
  readonly certificate: CertificateSource;
  readonly events: RelayEvents;
}

/** Returns the relay threads of a service: `count` with the main one. None is started yet. */
export function openThreads(count: number, parts: OpenThreadsParts): RelayThreads {
  const { config, certificate, events } = parts;
  const connected = new ConnectedKeys(events);
  return new RelayThreads(count - 1, {
    ...parts,
    http: () => httpSettings(config()),
    certificate: () => (config().transport === 'tls' ? certificate.current() : null),
    challenges: certificate.challenges,
    noted: (index, note) => connected.noted(index, note),
    ended: (index) => connected.threadEnded(index),
  });
}

function httpSettings({ home, bootstrapDns, derpPort, listen, limits }: Config): ThreadHttpSettings {
  const { requestHeadMs, requestHeadBytes, httpConnections } = limits;
  return {
    home,
    bootstrapDns,
    httpsPort: derpPort ?? listen[0]!.port,
    requestHeadMs,
    requestHeadBytes,
    connections: httpConnections,
  };
}
