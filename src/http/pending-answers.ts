import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Time that a client has to read the answers to its requests before an upgrade. */
const DEADLINE_MS = 5000;

interface Pending {
  count: number;
  done: (() => void) | null;
}

const pending = new WeakMap<Duplex, Pending>();

/** Counts an answer that is not finished yet. */
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
 * Calls `done` when all earlier requests of the connection have their answers: a client may send a request before the
 * last answer. `done` is not called when the connection ends meanwhile. A connection that does not read its answers is
 * ended.
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
