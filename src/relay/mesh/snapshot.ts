/** The state of a link to another relay of the region. */
export const LinkState = {
  /** The connection is being made. */
  Connecting: 'connecting',
  /** Packets can be sent. */
  Open: 'open',
  /** It failed or ended, and will be retried soon. */
  Waiting: 'waiting',
  /** The address leads to this relay itself. It is not tried again. */
  Self: 'self',
  /** Another link leads to the same relay already. */
  Duplicate: 'duplicate',
  /** It was closed by the configuration or the end of the relay. */
  Closed: 'closed',
} as const;
export type LinkState = (typeof LinkState)[keyof typeof LinkState];

/** Why a link failed or ended. The names are metric labels and appear in logs. */
export const LINK_FAILURES = ['unreachable', 'refused_key', 'closed', 'silent', 'stuck', 'not_found'] as const;
export type LinkFailure = (typeof LINK_FAILURES)[number];

/** One link as plain data, for the status page, metrics and `towpath doctor`. */
export interface LinkSnapshot {
  /** The entry of `mesh.with` that it comes from. */
  readonly name: string;
  /** Address and port, empty while the name has none. */
  readonly address: string;
  readonly state: LinkState;
  /** Milliseconds in this state. */
  readonly ageMs: number;
  /** The node key of the other relay in hex; null before it was ever reached. */
  readonly serverKey: string | null;
  /** The latest round trip of a Ping, in milliseconds; null while there is none. */
  readonly roundTripMs: number | null;
  /** Number of keys that are reached through it. */
  readonly keys: number;
  /** Times that a key was not entered because there are too many. */
  readonly refusedKeys: number;
  /** Bytes that wait to be written, headers included. */
  readonly queuedBytes: number;
  /** Packets and payload bytes that were written, and that were dropped because the other relay took too few. */
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly droppedPackets: number;
  readonly droppedBytes: number;
  /** Connections that were made. */
  readonly connects: number;
  readonly failures: Readonly<Record<LinkFailure, number>>;
  /** The last error as text; null while the link is open. */
  readonly problem: string | null;
}

/** What happened to a link, for the log. */
export interface LinkEvent {
  readonly kind: 'opened' | 'self' | 'duplicate' | 'unused' | LinkFailure;
  readonly name: string;
  readonly address: string;
  readonly detail: string;
}
