import type { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Closes connections on which no request head arrives in time. Node does this itself, and answers 408. Bun does not for
 * a server that is given its connections, so this is the only deadline there. A timer per connection is affordable,
 * because ordinary HTTP connections are few (`limits.httpConnections`).
 */
export class HeadDeadline {
  readonly #headMs: number;
  readonly #keepAliveMs: number;
  readonly #expired: () => void;
  readonly #timers = new WeakMap<Duplex, NodeJS.Timeout>();
  readonly #released = new WeakSet<Duplex>();

  /** `headMs` is for the first head of a connection, `keepAliveMs` for each further one; `expired` counts the former. */
  constructor(headMs: number, keepAliveMs: number, expired: () => void) {
    this.#headMs = headMs;
    this.#keepAliveMs = keepAliveMs;
    this.#expired = expired;
  }

  /** Watches all connections of an HTTP server from now on. */
  watch(server: EventEmitter): void {
    server.on('connection', (socket: Duplex) => {
      socket.once('close', () => this.#disarm(socket));
      this.#arm(socket, this.#headMs, this.#expired);
    });
    server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      this.#disarm(socket);
      response.once('close', () => this.#arm(socket, this.#keepAliveMs, noCount));
    });
  }

  /** Forgets `socket`: it is no longer an HTTP connection. The end of an answer on it may still be reported. */
  release(socket: Duplex): void {
    this.#released.add(socket);
    this.#disarm(socket);
  }

  #disarm(socket: Duplex): void {
    clearTimeout(this.#timers.get(socket));
    this.#timers.delete(socket);
  }

  #arm(socket: Duplex, ms: number, expired: () => void): void {
    if (socket.destroyed || this.#released.has(socket)) return;
    this.#disarm(socket);
    const timer = setTimeout(() => {
      expired();
      socket.destroy();
    }, ms);
    this.#timers.set(socket, timer.unref());
  }
}

/** An idle connection that ends after its answer is not a failure. */
function noCount(): void {
  return undefined;
}
