import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long a peer may take to read the answers to what it asked before an upgrade. */
const DEADLINE_MS = 5000;

interface Pending {
  count: number;
  done: (() => void) | null;
}

const pending = new WeakMap<Duplex, Pending>();

/** Counts an answer that is on its way. */
export function answering(socket: Duplex, response: ServerResponse): void {
  const answers = pending.get(socket) ?? { count: 0, done: null };
  answers.count++;
  pending.set(socket, answers);
  response.once('finish', () => {
    answers.count--;
    if (answers.count === 0) answers.done?.();
  });
}

/**
 * Calls `done` when everything that was asked for on the connection before has been answered: requests may come without
 * waiting for that. It is not called when the connection ends meanwhile; one that reads nothing is ended.
 */
export function afterAnswers(socket: Duplex, done: () => void): void {
  const answers = pending.get(socket);
  if (answers === undefined || answers.count === 0) {
    done();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), DEADLINE_MS).unref();
  answers.done = () => {
    answers.done = null;
    clearTimeout(timer);
    if (!socket.destroyed) done();
  };
}
