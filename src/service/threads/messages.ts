import type { MessagePort } from 'node:worker_threads';
import type { BootstrapDnsConfig } from '../../config/schema/bootstrap-dns.ts';
import type { HomeConfig } from '../../config/schema/home.ts';
import type { CounterValues, RefusalReason } from '../../observe/counters.ts';
import type { AdmissionVerdict } from '../../relay/session/admission.ts';
import type { DrainPlan } from '../../relay/session/drain.ts';
import type { KeyTraffic } from '../../relay/session/key-traffic.ts';
import type { KeyEnding, KeyLimitsChange } from '../../relay/session/sessions.ts';
import type { SessionSnapshot } from '../../relay/session/traffic.ts';
import type { LiveSettings, RelaySettings } from '../../relay/settings.ts';
import type { ThreadChannel } from '../../relay/threads/thread-link.ts';
import type { CertificatePair, Endpoint } from '../../transport/port.ts';
import type { ListenPlace } from './own-socket.ts';
import type { ThreadMemory } from './shared-memory.ts';

/** What a relay thread needs for the requests on its ports that do not become a DERP connection. */
export interface ThreadHttpSettings {
  readonly home: HomeConfig;
  readonly bootstrapDns: BootstrapDnsConfig;
  /** The port that browsers are sent to. */
  readonly httpsPort: number;
  readonly requestHeadMs: number;
  readonly requestHeadBytes: number;
  /** Most open streams that are ordinary HTTP. */
  readonly connections: number;
}

/** Start data of a relay thread. */
export interface RelayThreadData {
  readonly settings: RelaySettings;
  readonly http: ThreadHttpSettings;
  /** 0 is the main thread. */
  readonly index: number;
  readonly memory: ThreadMemory;
  /** The port to the service. */
  readonly port: MessagePort;
}

/** Requests of the service to a relay thread, with their answers. */
export type ThreadRequests = {
  /** Listens at a place; `certificate` is null where there is no TLS. */
  readonly listen: {
    readonly ask: { readonly place: ListenPlace; readonly certificate: CertificatePair | null };
    readonly answer: null;
  };
  /** Asks about each open connection again, by `review` of {@link ServiceRequests} with the same `round`. */
  readonly review: {
    readonly ask: { readonly round: number };
    readonly answer: { readonly failed: readonly string[] };
  };
  readonly sessions: { readonly ask: null; readonly answer: readonly SessionSnapshot[] };
  /** Ends connections of some keys; the answer is their number. */
  readonly endKeys: { readonly ask: readonly KeyEnding[]; readonly answer: number };
  readonly drain: { readonly ask: DrainPlan; readonly answer: null };
  readonly closePorts: { readonly ask: null; readonly answer: null };
  /** Ends all connections, and with them the thread. */
  readonly close: { readonly ask: null; readonly answer: null };
  /** Checks that its event loop runs. */
  readonly ping: { readonly ask: null; readonly answer: null };
};

/** Notes of the service to a relay thread. */
export type ThreadNote =
  | { readonly kind: 'attach'; readonly index: number; readonly channel: ThreadChannel }
  | { readonly kind: 'detach'; readonly index: number }
  | { readonly kind: 'certificate'; readonly pair: CertificatePair }
  /** The certificate that answers an ACME challenge for this server name, or null when there is none any more. */
  | { readonly kind: 'challenge'; readonly serverName: string; readonly pair: CertificatePair | null }
  | { readonly kind: 'apply'; readonly live: LiveSettings }
  | { readonly kind: 'home'; readonly home: HomeConfig }
  | { readonly kind: 'keyLimits'; readonly changes: readonly KeyLimitsChange[] }
  | { readonly kind: 'connections'; readonly limit: number; readonly isForDescriptors: boolean };

/** Requests of a relay thread to the service, with their answers. */
export type ServiceRequests = {
  readonly admit: { readonly ask: ClientQuestion; readonly answer: AdmissionVerdict };
  readonly review: { readonly ask: ClientQuestion & { readonly round: number }; readonly answer: AdmissionVerdict };
};

interface ClientQuestion {
  readonly key: Uint8Array;
  readonly ip: string;
  /** Number of the question in the thread, for `over` of {@link ServiceNote}. */
  readonly id: number;
}

/** What happened to a connection of a thread. */
export type ThreadEvent =
  | {
      readonly kind: 'refused';
      readonly reason: RefusalReason;
      readonly remote: Endpoint;
      readonly key: Uint8Array | null;
      readonly detail: string;
    }
  | { readonly kind: 'opened'; readonly remote: Endpoint; readonly key: Uint8Array; readonly app: string }
  | { readonly kind: 'closed'; readonly remote: Endpoint; readonly key: Uint8Array; readonly reason: string };

/** Notes of a relay thread to the service. */
export type ServiceNote =
  | { readonly kind: 'started' }
  /** Ten times a second, unless nothing has changed. */
  | {
      readonly kind: 'counted';
      readonly counters: CounterValues;
      readonly sessions: number;
      readonly open: number;
      readonly queuedBytes: number;
    }
  /** The traffic of the keys since the last message; every second, unless there was none. */
  | { readonly kind: 'traffic'; readonly traffic: readonly KeyTraffic[] }
  | { readonly kind: 'events'; readonly events: readonly ThreadEvent[] }
  /** These clients no longer wait for their admission. */
  | { readonly kind: 'over'; readonly ids: readonly number[] }
  | { readonly kind: 'listenerError'; readonly message: string }
  | { readonly kind: 'memory'; readonly problem: string | null }
  | { readonly kind: 'internalError'; readonly where: string; readonly details: string };
