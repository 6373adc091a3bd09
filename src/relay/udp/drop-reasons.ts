/**
 * Why a datagram was dropped (peer relay reference §5.7). All are silent on the wire: the names are metric labels, and
 * what an operator needs when something does not bind. Stable.
 */
export const DropReason = {
  /** Shorter than a Geneve header: also the 1-byte datagrams of clients (peer relay §18.5). */
  Short: 0,
  NotGeneve: 1,
  UnknownVni: 2,
  ControlNotDisco: 3,
  /** The sender's key is neither of the two keys of the endpoint. */
  UnknownKey: 4,
  /** More control packets than an endpoint or the relay takes. */
  ControlRate: 5,
  BadBox: 6,
  UnexpectedMessage: 7,
  WrongVni: 8,
  WrongRemoteKey: 9,
  /** Zero, or not the one of the latest bind. */
  WrongGeneration: 10,
  WrongChallenge: 11,
  /** Data before both sides are bound. */
  NotBound: 12,
  /** Data from an address that neither side is bound to. */
  UnknownSource: 13,
  NodeRate: 14,
  TotalRate: 15,
} as const;
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** By {@link DropReason}. */
export const DROP_REASON_NAMES: readonly string[] = [
  'short',
  'not_geneve',
  'unknown_vni',
  'control_not_disco',
  'unknown_key',
  'control_rate',
  'bad_box',
  'unexpected_message',
  'wrong_vni',
  'wrong_remote_key',
  'wrong_generation',
  'wrong_challenge',
  'not_bound',
  'unknown_source',
  'node_rate',
  'total_rate',
];
