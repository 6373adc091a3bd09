/** Where a connection is in its life. */
export const SessionState = {
  /** The greeting is sent; the client has to prove its key. */
  Identifying: 0,
  /** The key is proved; a source is asked whether it may come in. */
  Admitting: 1,
  /** Packets go both ways. */
  Open: 2,
  /** Nothing is read or routed any more; the last bytes are being written. */
  Finishing: 3,
  /** The stream is gone. */
  Closed: 4,
} as const;
export type SessionState = (typeof SessionState)[keyof typeof SessionState];

const { Identifying, Admitting, Open, Finishing, Closed } = SessionState;

/** The states that may follow each. */
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
