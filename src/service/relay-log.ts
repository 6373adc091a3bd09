import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { RefusalReason } from '../observe/counters.ts';
import type { Health } from '../observe/health.ts';
import type { LinkEvent } from '../relay/mesh/snapshot.ts';
import type { RelayEvents } from '../relay/relay.ts';
import type { Endpoint } from '../transport/port.ts';
import type { Clients } from './clients.ts';
import { ConnectionLog } from './connection-log.ts';
import type { Liveness } from './liveness.ts';
import { LinkLog } from './mesh/link-log.ts';
import type { ServiceApi } from './status/service-api.ts';

interface RelayLogParts {
  readonly log: Logger;
  readonly clock: Clock;
  readonly health: Health;
  /** These parts are made later. */
  readonly clients: () => Pick<Clients, 'opened' | 'closed'>;
  readonly api: () => Pick<ServiceApi, 'refused'>;
  readonly liveness: () => Pick<Liveness, 'listenerError'>;
}

/** Receives the events of the relay: logs them, and passes them to other parts of the service. */
export class RelayLog implements RelayEvents {
  readonly #parts: RelayLogParts;
  readonly #connections: ConnectionLog;
  readonly #links: LinkLog;

  constructor(parts: RelayLogParts) {
    const { log, clock } = parts;
    this.#parts = parts;
    this.#connections = new ConnectionLog(log, clock);
    this.#links = new LinkLog(log, clock);
  }

  refused(reason: RefusalReason, remote: Endpoint, key: Buffer | null, detail: string): void {
    this.#connections.refused(reason, remote, key, detail);
    this.#parts.api().refused(reason, remote.ip, key, detail);
  }

  opened(remote: Endpoint, key: Buffer, app: string): void {
    this.#parts.clients().opened(key, remote);
    this.#connections.opened(remote, key, app);
  }

  closed(remote: Endpoint, key: Buffer, reason: string): void {
    this.#parts.clients().closed(key, remote);
    this.#connections.closed(remote, key, reason);
  }

  listenerError(error: Error): void {
    this.#parts.liveness().listenerError(error);
  }

  link(event: LinkEvent): void {
    this.#links.happened(event);
  }

  memory(problem: string | null): void {
    this.#parts.health.set('memory', problem);
  }

  /** Writes the waiting lines, and unsubscribes from the clock. */
  close(): void {
    for (const part of [this.#connections, this.#links]) part.close();
  }
}
