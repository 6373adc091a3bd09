/**
 * Version 1 of the JSON API of the admin listener: the shapes of its answers and requests. The server fills them
 * (`service/status/`), the client gives them to commands (`client/admin-client.ts`), and docs/openapi.yaml describes them
 * for other programs. Within version 1, fields are only added. Times are ISO 8601 in UTC, sizes are bytes, rates are per
 * second, and node keys have the form `nodekey:` and 64 hex digits.
 */

/** Where the paths of this version begin. */
export const API_PREFIX = '/api/v1/';

/** Answer to a request that was refused or failed. */
export interface ErrorAnswer {
  readonly error: {
    /** Stable, for programs. */
    readonly code: string;
    /** What is wrong, in one sentence. */
    readonly message: string;
    /** How to fix it; null when there is nothing to do. */
    readonly hint: string | null;
  };
}

/** What is wrong with the relay, or will be soon. */
export interface Problem {
  /** The part that reports it, for example `certificate-validity`. */
  readonly name: string;
  readonly problem: string;
  /** How to fix it. */
  readonly advice: string;
}

/** `GET status`: the health and the activity of the relay. */
export interface StatusAnswer {
  readonly version: string;
  /** For example `node 24.21.0`. */
  readonly runtime: string;
  readonly publicKey: string;
  /** The name or address at which clients reach it; null when it is not configured. */
  readonly hostname: string | null;
  readonly startedAt: string;
  /** The time of this answer. */
  readonly at: string;
  readonly uptimeSeconds: number;
  /** The same as `/readyz`. */
  readonly isReady: boolean;
  readonly isDraining: boolean;
  /** Why the relay is not ready. */
  readonly problems: readonly Problem[];
  /** What needs attention although it is ready. */
  readonly warnings: readonly Problem[];
  readonly listeners: {
    readonly derp: readonly string[];
    readonly http: readonly string[];
    readonly stun: readonly string[];
    readonly admin: string | null;
  };
  readonly totals: Totals;
  /** Over the last seconds; null until two samples were taken. */
  readonly rates: Rates | null;
  readonly process: ProcessState;
}

/** Counts since the start, and present numbers. */
export interface Totals {
  /** Open now. */
  readonly connections: number;
  readonly homeConnections: number;
  /** Distinct node keys now. */
  readonly keys: number;
  /** Keys with more than one connection now. */
  readonly duplicateKeys: number;
  /** Payload that clients sent. */
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  /** Payload that was written to clients. */
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly droppedPackets: number;
  /** Dropped packets by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly refusals: number;
  readonly stunAnswers: number;
  readonly internalErrors: number;
}

/** Rates per second. */
export interface Rates {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly droppedPackets: number;
  readonly refusals: number;
}

/** Resources of the process. */
interface ProcessState {
  readonly pid: number;
  readonly residentBytes: number;
  /** Share of one processor over the last seconds: 1 is one core. Null until two samples were taken. */
  readonly cpuShare: number | null;
  /** Moving average of the time that a packet waits in the relay before it is written, seconds. */
  readonly queueDelaySeconds: number;
  /** The longest delay of the event loop in the last seconds. */
  readonly loopDelaySeconds: number;
}

/** Columns by which connections are sorted; `-` in front of one sorts downwards. */
export const CONNECTION_SORTS = [
  'since',
  'name',
  'owner',
  'key',
  'address',
  'app',
  'received',
  'sent',
  'receivedRate',
  'sentRate',
  'rate',
  'drops',
  'queue',
] as const;
export type ConnectionSort = (typeof CONNECTION_SORTS)[number];

/** Which connections are listed, and in which order. */
export interface ConnectionQuery {
  /** Part of a name, owner, node key, short key, address or application; empty: all. */
  readonly search: string;
  readonly sort: ConnectionSort;
  readonly isDescending: boolean;
  /** From 1. */
  readonly page: number;
  /** Rows of a page. */
  readonly size: number;
}

/** A part of a list. */
export interface Paged<Row> {
  /** Number of all rows. */
  readonly total: number;
  /** Number of rows that the search found. */
  readonly matching: number;
  readonly page: number;
  readonly size: number;
  readonly rows: readonly Row[];
}

/** `GET connections`. */
export type ConnectionsAnswer = Paged<ConnectionRow> & {
  readonly at: string;
};

/** One connection; `GET connections/{id}` gives it alone. */
export interface ConnectionRow {
  /** Valid while the connection is open. */
  readonly id: string;
  /** The relay thread that it is in; 0 is the main one. */
  readonly thread: number;
  /** Null until the client has proved it. */
  readonly key: string | null;
  /** The key as the log shows it. */
  readonly shortKey: string;
  /** The name of the node, where an admission source or a tailnet knows it. */
  readonly name: string | null;
  /** The owner of the node; null when unknown. */
  readonly owner: string | null;
  readonly tier: string | null;
  readonly state: 'connecting' | 'open';
  readonly ip: string;
  readonly port: number;
  readonly isBehindProxy: boolean;
  readonly isWebSocket: boolean;
  readonly since: string;
  readonly ageSeconds: number;
  /** The client has this relay as its home. */
  readonly isHome: boolean;
  /** Other connections have the same key. */
  readonly isDuplicate: boolean;
  /** The name of the client's program; empty when it gave none. */
  readonly app: string;
  /** The admission source that admitted it; empty when every client is admitted. */
  readonly admittedBy: string;
  readonly received: Traffic;
  readonly sent: Traffic;
  /** Packets that were dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly droppedPackets: number;
  /** Bytes that wait to be written to it. */
  readonly queuedBytes: number;
}

/** Traffic in one direction. */
interface Traffic {
  readonly bytes: number;
  readonly packets: number;
  /** Null until two samples were taken. */
  readonly bytesPerSecond: number | null;
}

/** `GET udp-sessions`: the UDP relay. */
export interface UdpSessionsAnswer {
  /** False: no tailnet is configured for it, and the rest is empty. */
  readonly isOn: boolean;
  readonly listens: readonly string[];
  /** The addresses that clients get. */
  readonly addresses: readonly string[];
  readonly connecting: number;
  readonly open: number;
  readonly forwardedPackets: number;
  readonly forwardedBytes: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly tailnets: readonly {
    readonly name: string;
    readonly isReady: boolean;
    readonly problems: readonly Problem[];
    readonly nodes: number;
    readonly grantedNodes: number;
  }[];
  readonly sessions: Paged<UdpSessionRow>;
}

export interface UdpSessionRow {
  readonly vni: number;
  readonly state: 'connecting' | 'open';
  readonly ageSeconds: number;
  readonly sides: readonly UdpSide[];
}

interface UdpSide {
  /** Null: unknown. */
  readonly node: string | null;
  /** `d:` and 16 hex digits. */
  readonly disco: string;
  /** Empty while it is not bound. */
  readonly address: string;
  /** Null: it has received nothing since it was bound. */
  readonly seenSecondsAgo: number | null;
  readonly packets: number;
  readonly bytes: number;
}

/** `GET mesh`: links to the other relays of the region. */
export interface MeshAnswer {
  readonly links: readonly MeshLink[];
}

export interface MeshLink {
  /** The entry of `mesh.with`. */
  readonly name: string;
  /** Empty while the name has no address. */
  readonly address: string;
  readonly state: 'connecting' | 'open' | 'waiting' | 'self' | 'duplicate' | 'closed';
  /** Time in this state. */
  readonly ageSeconds: number;
  /** Null until the other relay was reached once. */
  readonly serverKey: string | null;
  readonly roundTripSeconds: number | null;
  /** Number of keys that it leads to. */
  readonly keys: number;
  readonly queuedBytes: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly droppedPackets: number;
  /** The last problem; null while the link is open. */
  readonly problem: string | null;
}

/** `GET threads`: the relay threads of the process. */
export interface ThreadsAnswer {
  /** By their index; 0 is the main thread, which never ends before the process. */
  readonly threads: readonly ThreadRow[];
}

/** Counts are since the thread was last started. */
export interface ThreadRow {
  readonly index: number;
  /** False: it is starting, or has ended and will be started again soon. */
  readonly isRunning: boolean;
  /** DERP connections that are open. */
  readonly connections: number;
  /** Payload that clients sent. */
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  /** Payload that was written to clients. */
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly droppedPackets: number;
  /** Memory of the frames that wait to be written, in bytes. */
  readonly queuedBytes: number;
  /** How often it was started again after a fault. */
  readonly restarts: number;
  /** When it last ended by a fault; null: never. */
  readonly endedAt: string | null;
  /** Why it ended; null: it has not ended. */
  readonly problem: string | null;
}

/** `GET udp-use?node=NODE&other=OTHER`: why a node, or a pair of nodes, does not use the UDP relay. */
export interface UdpUseAnswer {
  /** False: no tailnet is configured for it, and the rest is empty. */
  readonly isOn: boolean;
  /** One for each tailnet that has the node. */
  readonly reports: readonly {
    readonly tailnet: string;
    /** Null: the tailnet has no such node, or several. */
    readonly node: string | null;
    readonly other: string | null;
    readonly isUsed: boolean;
    readonly conditions: readonly UdpUseCondition[];
  }[];
}

interface UdpUseCondition {
  readonly code: string;
  /** `relay`, or the name of a node. */
  readonly about: string;
  readonly status: 'met' | 'unmet' | 'unknown';
  readonly text: string;
  /** Null: there is nothing to do. */
  readonly advice: string | null;
}

/** `GET certificate`. */
export interface CertificateAnswer {
  /** `plain`: a proxy does TLS, and the rest describes nothing that is served. */
  readonly transport: 'tls' | 'plain';
  readonly origin: string;
  readonly names: readonly string[];
  readonly notBefore: string;
  readonly notAfter: string;
  readonly daysLeft: number;
  readonly pin: string;
  readonly isSelfSigned: boolean;
  /** A temporary certificate, until the real one is issued. */
  readonly isProvisional: boolean;
  /** The certificate that is used from a planned time on; null when there is none. */
  readonly next: { readonly pin: string; readonly from: string } | null;
}

/** `GET admission`. */
export interface AdmissionAnswer {
  /** Every client is admitted that is not on a deny list. */
  readonly isOpen: boolean;
  readonly sources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly isUsable: boolean;
    readonly problem: string | null;
    readonly keys: number | null;
    readonly ageSeconds: number | null;
  }[];
  /** Keys that an action has denied for a time. */
  readonly denials: readonly Denial[];
}

interface Denial {
  readonly key: string;
  readonly until: string;
  readonly reason: string;
}

/** `GET limits`. */
export interface LimitsAnswer {
  readonly limits: readonly {
    /** The configuration key. */
    readonly name: string;
    readonly value: number | null;
    readonly help: string;
    /** The part in use now; null where it is not counted. */
    readonly used: number | null;
    /** The action `limit` can change it. */
    readonly isChangeable: boolean;
    /** It was changed by the action `limit` since the configuration was last read. */
    readonly isChanged: boolean;
  }[];
  /** Node keys whose rate was changed by the action `limit`. */
  readonly keys: readonly KeyRateRow[];
}

interface KeyRateRow {
  readonly key: string;
  /** The rate that it may send; 0: no limit. */
  readonly bytesPerSecond: number;
  /** Null: until it is reset. */
  readonly until: string | null;
}

/** `GET refusals`: connections that were refused or ended in the last hour. */
export interface RefusalsAnswer {
  readonly minutes: number;
  readonly total: number;
  /** The most frequent first. */
  readonly reasons: readonly {
    readonly reason: string;
    readonly count: number;
    /** The count of each minute, the oldest first. */
    readonly perMinute: readonly number[];
    /** The latest ones, the newest first. */
    readonly last: readonly RefusalExample[];
    readonly meaning: string;
    readonly advice: string;
  }[];
}

export interface RefusalExample {
  readonly at: string;
  readonly ip: string;
  /** Empty when the client had not proved a key. */
  readonly shortKey: string;
  readonly detail: string;
}

/** `GET history`: the last hour as columns of equal length. */
export interface HistoryAnswer {
  readonly stepSeconds: number;
  /** Seconds since 1970. */
  readonly time: readonly number[];
  readonly columns: Readonly<Record<HistoryColumn, readonly number[]>>;
}

export const HISTORY_COLUMNS = [
  'connections',
  'receivedBytesPerSecond',
  'sentBytesPerSecond',
  'udpBytesPerSecond',
  'packetsPerSecond',
  'droppedPacketsPerSecond',
  'refusalsPerSecond',
  'queueDelaySeconds',
  'loopDelaySeconds',
  'residentBytes',
  'cpuShare',
] as const;
export type HistoryColumn = (typeof HISTORY_COLUMNS)[number];

/** Bodies of actions, all by POST. */
export interface ActionBodies {
  /** Ends all connections of a key. It may connect again. */
  readonly disconnect: { readonly key: string };
  /** Ends all connections of a key and refuses it for a time. 0 seconds removes a denial. */
  readonly deny: { readonly key: string; readonly seconds: number; readonly reason?: string };
  /** Changes a limit of all keys, or the rate of one. */
  readonly limit: LimitBody | KeyLimitBody;
  /** Reads configuration, certificate and key lists again. */
  readonly reload: Readonly<Record<string, never>>;
  /** Tells the clients to reconnect, closes their connections and ends the process, as SIGTERM does. */
  readonly drain: Readonly<Record<string, never>>;
}

/** A limit of the configuration, until the configuration is read again or the seconds are over. */
interface LimitBody {
  /** The configuration key. */
  readonly name: string;
  /** Null resets it. */
  readonly value: number | null;
  readonly seconds?: number;
}

/** The rate of one node key instead of that of its tier, until it is reset or the seconds are over. */
interface KeyLimitBody {
  readonly key: string;
  /** 0: no limit. Null resets it. */
  readonly bytesPerSecond: number | null;
  readonly seconds?: number;
}

export type ActionName = keyof ActionBodies;

/** Answer to an action that was done. */
export interface ActionAnswer {
  readonly done: true;
  /** What was done, in one sentence. */
  readonly message: string;
}

/** Data of the events of `GET events`, by their name. */
export interface LiveEvents {
  readonly status: StatusAnswer;
  /** Only when the request had the parameters of `GET connections`. */
  readonly connections: ConnectionsAnswer;
}
