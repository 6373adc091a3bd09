import type { Logger } from 'pino';
import type {
  ActionAnswer,
  ActionName,
  AdmissionAnswer,
  CertificateAnswer,
  ConnectionQuery,
  ConnectionRow,
  ConnectionsAnswer,
  HistoryAnswer,
  LimitsAnswer,
  MeshAnswer,
  RefusalsAnswer,
  StatusAnswer,
  ThreadsAnswer,
  UdpSessionsAnswer,
  UdpUseAnswer,
} from '../../api/shapes.ts';
import { SLOW_TICK_MS, type Clock } from '../../base/clock.ts';
import { VERSION } from '../../base/version.ts';
import type { CertificateInfo } from '../../certificates/source.ts';
import type { Config } from '../../config/schema.ts';
import { ApiError } from '../../http/api/api-error.ts';
import type { AdminApi } from '../../http/api/port.ts';
import type { CounterValues, RefusalReason } from '../../observe/counters.ts';
import type { Health } from '../../observe/health.ts';
import type { LinkSnapshot } from '../../relay/mesh/snapshot.ts';
import type { SessionSnapshot } from '../../relay/session/traffic.ts';
import { formatNodeKey } from '../../wire/keys.ts';
import type { AdmissionService } from '../admission.ts';
import type { Clients } from '../clients.ts';
import type { RelayAddresses } from '../listeners.ts';
import type { PeerRelay } from '../peer-relay/peer-relay.ts';
import type { ThreadState } from '../threads/thread-state.ts';
import { Actions, type ProcessControl } from './actions.ts';
import { readConnectionQuery } from './connection-list.ts';
import { ConnectionView } from './connection-view.ts';
import { LimitChanges } from './limit-changes.ts';
import { limitTable } from './limit-table.ts';
import { meshLinkOf } from './mesh-links.ts';
import { RefusalHistory } from './refusal-history.ts';
import { Sampler } from './sampler.ts';
import { certificateOf, listenersOf, readinessOf, totalsOf, warningsOf } from './status-report.ts';
import { threadRowOf } from './thread-row.ts';
import { noUdpSessions, udpSessions } from './udp-sessions.ts';
import { udpUse } from './udp-use.ts';

/** The sources of the API's facts. They are read when they are needed. */
export interface ServiceApiParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Health;
  readonly publicKey: Buffer;
  /** For example `node 24.21.0`. */
  readonly runtime: string;
  readonly config: () => Config;
  readonly counters: () => CounterValues;
  readonly sessions: () => readonly SessionSnapshot[];
  readonly links: () => readonly LinkSnapshot[];
  readonly threads: () => readonly ThreadState[];
  readonly addresses: () => RelayAddresses;
  readonly certificate: () => CertificateInfo;
  readonly admission: AdmissionService;
  readonly clients: Clients;
  /** Null: no tailnet is configured. */
  readonly peerRelay: PeerRelay | null;
  readonly residentBytes: () => number;
  /** Ends the open connections of a key; resolves with how many there were. */
  readonly disconnect: (key: Buffer) => Promise<number>;
  /** Sets another value of a limit; null: the value of the configuration. */
  readonly setLimit: (name: string, value: number | null) => void;
  /** Sets another rate of a key of 64 hex digits; null: the rate of the configuration. */
  readonly setKeyRate: (key: string, bytesPerSecond: number | null) => void;
}

/** The API of the admin listener over one service: it joins what the parts of the service know. */
export class ServiceApi implements AdminApi {
  /** Ends or reloads the process; null for a relay inside another program. */
  control: ProcessControl | null = null;
  readonly #parts: ServiceApiParts;
  readonly #refusals: RefusalHistory;
  readonly #view: ConnectionView;
  readonly #sampler: Sampler;
  readonly #actions: Actions;
  readonly #startedAt = new Date();
  readonly #startedMs: number;
  readonly #leaveClock: () => void;
  readonly #changes: LimitChanges;

  constructor(parts: ServiceApiParts) {
    const { clock, counters, sessions, admission, log, peerRelay, residentBytes } = parts;
    this.#parts = parts;
    this.#startedMs = clock.now;
    const now = (): number => clock.readNow();
    this.#refusals = new RefusalHistory(now);
    this.#view = new ConnectionView({ sessions, now, describe: (key, source) => this.#describe(key, source) });
    this.#sampler = new Sampler({
      clock,
      counters,
      residentBytes,
      udpBytes: () => peerRelay?.forwarded.bytes ?? 0,
    });
    this.#changes = new LimitChanges({
      now,
      setLimit: parts.setLimit,
      setKeyRate: parts.setKeyRate,
      ended: (what) => log.info({ what }, 'the time of a changed limit is over: the configuration holds again'),
    });
    this.#leaveClock = clock.onTick(() => {
      this.#view.tidy();
      this.#changes.expire();
    }, SLOW_TICK_MS);
    this.#actions = new Actions({
      log,
      now: Date.now,
      disconnect: parts.disconnect,
      deny: (denial) => {
        const isDenied = admission.deny(denial);
        if (isDenied) parts.clients.announce({ kind: 'deny', ...denial });
        return isDenied;
      },
      allow: (key) => {
        parts.clients.announce({ kind: 'allow', key });
        return admission.allow(key);
      },
      limits: this.#changes,
      control: () => this.control,
    });
  }

  /** Records that a connection was refused or ended. */
  refused(reason: RefusalReason, ip: string, key: Buffer | null, detail: string): void {
    this.#refusals.add(reason, ip, key, detail);
  }

  /** Called after a reload: the limits of the configuration apply again. */
  reloaded(): void {
    this.#changes.reloaded();
  }

  close(): void {
    this.#leaveClock();
    this.#sampler.close();
  }

  status(): StatusAnswer {
    const { publicKey, runtime, health, clock, addresses, counters, residentBytes, admission } = this.#parts;
    const config = this.#parts.config();
    const now = counters();
    return {
      version: VERSION,
      runtime,
      publicKey: formatNodeKey(publicKey),
      hostname: config.hostname ?? null,
      startedAt: this.#startedAt.toISOString(),
      at: new Date().toISOString(),
      uptimeSeconds: Math.round(clock.now - this.#startedMs) / 1000,
      ...readinessOf(health),
      warnings: warningsOf({
        certificate: this.certificate(),
        isOpenByAccident: config.admission.sources.length === 0 && !config.admission.open,
        sources: admission.report().sources,
        internalErrors: now.internalErrors,
      }),
      listeners: listenersOf(addresses()),
      totals: totalsOf(now),
      rates: this.#sampler.rates(),
      process: {
        pid: process.pid,
        residentBytes: residentBytes(),
        cpuShare: this.#sampler.cpuShare(),
        queueDelaySeconds: now.queueDelaySeconds,
        loopDelaySeconds: this.#sampler.loopDelaySeconds,
      },
    };
  }

  connectionQuery(parameters: URLSearchParams): ConnectionQuery {
    const query = readConnectionQuery(parameters);
    if (typeof query === 'string') throw new ApiError(400, 'invalid_parameter', query);
    return query;
  }

  connections(query: ConnectionQuery): ConnectionsAnswer {
    return this.#view.page(query);
  }

  connection(id: string): ConnectionRow | null {
    return this.#view.one(id);
  }

  async udpSessions(parameters: URLSearchParams): Promise<UdpSessionsAnswer> {
    const { peerRelay } = this.#parts;
    return peerRelay === null ? noUdpSessions() : udpSessions(peerRelay, parameters);
  }

  mesh(): MeshAnswer {
    return { links: this.#parts.links().map(meshLinkOf) };
  }

  threads(): ThreadsAnswer {
    return { threads: this.#parts.threads().map(threadRowOf) };
  }

  async udpUse(parameters: URLSearchParams): Promise<UdpUseAnswer> {
    const { peerRelay } = this.#parts;
    return peerRelay === null ? { isOn: false, reports: [] } : udpUse(peerRelay, parameters);
  }

  certificate(): CertificateAnswer {
    return certificateOf(this.#parts.certificate(), this.#parts.config().transport, Date.now());
  }

  admission(): AdmissionAnswer {
    const { admission } = this.#parts;
    const { open, sources } = admission.report();
    return {
      isOpen: open,
      sources: sources.map(({ name, kind, isUsable, problem, keys, ageSeconds }) => ({
        ...{ name, kind, isUsable, problem, keys },
        ageSeconds: ageSeconds === null ? null : Math.round(ageSeconds),
      })),
      denials: admission.denials.map(({ key, until, reason }) => ({
        key: `nodekey:${key}`,
        until: new Date(until).toISOString(),
        reason,
      })),
    };
  }

  limits(): LimitsAnswer {
    const { counters } = this.#parts;
    return {
      limits: limitTable(this.#parts.config(), this.#changes.names, (name) =>
        name === 'limits.connections' ? counters().openStreams : null,
      ),
      keys: this.#changes.keys.map(({ key, bytesPerSecond, until }) => ({
        key: `nodekey:${key}`,
        bytesPerSecond,
        until: until === null ? null : new Date(until).toISOString(),
      })),
    };
  }

  refusals(): RefusalsAnswer {
    return this.#refusals.answer();
  }

  history(): HistoryAnswer {
    return this.#sampler.history.answer();
  }

  act(name: ActionName, body: unknown, by: string): Promise<ActionAnswer> {
    return this.#actions.act(name, body, by);
  }

  /** Returns what the admission source of a node, or a tailnet of the peer relay, knows about it. */
  #describe(key: string, source: string): { name: string; owner: string } | null {
    const { label, user } = this.#parts.clients.status({ key, source });
    if (label !== '' || user !== '') return { name: label, owner: user };
    const tailnets = this.#parts.peerRelay?.tailnets ?? [];
    if (tailnets.length === 0) return null;
    const bytes = Buffer.from(key, 'hex');
    for (const { node } of tailnets) {
      const peer = node.netmap.peerOf(bytes);
      if (peer !== null) return { name: peer.name, owner: '' };
    }
    return null;
  }
}
