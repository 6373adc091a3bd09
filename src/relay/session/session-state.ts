/** The state of a connection. */
export const SessionState = {
  /** The greeting was sent. The client must prove its key. */
  Identifying: 0,
  /** The key is proved. The admission source is asked. */
  Admitting: 1,
  /** Packets are passed in both directions. */
  Open: 2,
  /** No more frames are read or routed. The last bytes are being written. */
  Finishing: 3,
  /** The stream has ended. */
  Closed: 4,
} as const;
export type SessionState = (typeof SessionState)[keyof typeof SessionState];

const { Identifying, Admitting, Open, Finishing, Closed } = SessionState;

/** The allowed moves from each state. */
const NEXT: Readonly<Record<SessionState, readonly SessionState[]>> = {
  [Identifying]: [Admitting, Open, Finishing, Closed],
  [Admitting]: [Open, Finishing, Closed],
  [Open]: [Finishing, Closed],
  [Finishing]: [Closed],
  [Closed]: [],
};

/** Returns `next`. Throws an Error when a session in the state `from` cannot move there, which is a bug of ours. */
export function moveTo(from: SessionState, next: SessionState): SessionState {
  if (NEXT[from].includes(next)) return next;
  throw new Error(`a session cannot move from state ${from} to ${next}`);
}
