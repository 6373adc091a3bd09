import type { Server } from 'node:http';
import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import { VERSION } from '../base/version.ts';
import type { CertificateSource } from '../certificates/source.ts';
import type { Config } from '../config/schema.ts';
import { AdminAccess, type AccessToken } from '../http/admin-access.ts';
import { createAdminHandler } from '../http/admin.ts';
import { ApiRouter } from '../http/api/router.ts';
import { derperMetricsPage } from '../http/derper-metrics-page.ts';
import { STATUS_PAGE } from '../http/page/status-page.ts';
import { createHttpServer } from '../http/server.ts';
import type { Counters } from '../observe/counters.ts';
import type { Health } from '../observe/health.ts';
import { LoopDelay } from '../observe/loop-delay.ts';
import { createMetrics, type MetricDefinition } from '../observe/metrics.ts';
import type { DoorHandlers } from '../relay/door/front-door.ts';
import type { Relay } from '../relay/relay.ts';
import type { AdmissionService } from './admission.ts';
import { HttpConnections } from './http-connections.ts';
import { HttpDoor } from './http-door.ts';
import { meshMetrics } from './mesh/metrics.ts';
import { peerRelayPages } from './peer-relay/page.ts';
import type { PeerRelay } from './peer-relay/peer-relay.ts';
import type { ServiceApi } from './status/service-api.ts';

/**
 * Most connections of the admin listener: a few scrapers and viewers, and room for connections of a flood that come
 * before their requests are read.
 */
const ADMIN_CONNECTIONS = 256;

export interface AdminDoorParts {
  readonly clock: Clock;
  readonly health: Health;
  /** For example `node 24.21.0`. */
  readonly runtime: string;
  readonly token: AccessToken;
  readonly api: ServiceApi;
  readonly relay: Relay;
  /** The counters of all relay threads. */
  readonly counters: Counters;
  readonly certificate: CertificateSource;
  readonly admission: AdmissionService;
  /** Null: no tailnet is configured. */
  readonly peerRelay: PeerRelay | null;
  readonly bootstrapDnsQueriedNames: () => number;
  /** Metrics of further parts. */
  readonly metrics: () => readonly MetricDefinition[];
  readonly onListenerError: (error: Error) => void;
}

/** The HTTP of the admin listener: API, status page, metrics and health. */
export class AdminDoor {
  /** The handler of the listeners of `admin`. */
  readonly door: HttpDoor;
  readonly #server: Server;

  constructor({ names }: Config['admin'], parts: AdminDoorParts) {
    const { clock, health, token, api, relay, peerRelay, admission } = parts;
    const refused: DoorHandlers['refused'] = (reason, remote, detail) => relay.refused(reason, remote, null, detail);
    this.#server = createHttpServer(
      createAdminHandler({
        ...{ metrics: metricsOf(parts), health },
        pages: {
          '/admission': admission.page,
          '/debug/varz': derperMetricsPage(parts.counters),
          ...(peerRelay === null ? {} : peerRelayPages(peerRelay)),
        },
        access: new AdminAccess(names, token, [...STATUS_PAGE.keys()]),
        refused: ({ socket }, why) => {
          const { remoteAddress: ip = '', remotePort: port = 0 } = socket;
          refused('admin_access', { ip, port }, why);
        },
        api: new ApiRouter(api, clock),
      }),
    );
    this.door = new HttpDoor({
      httpConnections: new HttpConnections({
        ...{ server: this.#server, limit: ADMIN_CONNECTIONS, clock, refused },
        idleGivesWay: true,
      }),
      ...{ counters: relay.counters, refused, guard: null, onListenerError: parts.onListenerError },
    });
  }

  closeConnections(): void {
    this.#server.closeAllConnections();
  }
}

function metricsOf(parts: AdminDoorParts): ReturnType<typeof createMetrics> {
  const { clock, counters, runtime, health, certificate, admission, relay, peerRelay } = parts;
  const loopDelay = new LoopDelay();
  clock.onTick(() => loopDelay.tick(clock.lateMs), SLOW_TICK_MS);
  return createMetrics({
    ...{ counters, version: VERSION, runtime, health },
    certificateExpiry: () => certificate.info().notAfter.getTime(),
    bootstrapDnsQueriedNames: parts.bootstrapDnsQueriedNames,
    more: [
      ...parts.metrics(),
      ...loopDelay.metrics(),
      ...admission.metrics(),
      ...meshMetrics(() => relay.links()),
      ...(peerRelay?.metrics() ?? []),
    ],
  });
}
