import type { Counters, RefusalReason } from '../observe/counters.ts';
import type { Endpoint, ListenerHandler, Stream, StreamHandler } from '../transport/port.ts';
import type { HttpHall } from './rooms.ts';

const EMPTY = Buffer.alloc(0);

/** Stands behind a listener on which everything is HTTP: port 80 and the administration. */
export class HttpDoor implements ListenerHandler {
  readonly #hall: HttpHall;
  readonly #counters: Counters;
  readonly #refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void;

  constructor(
    hall: HttpHall,
    counters: Counters,
    refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void,
  ) {
    this.#hall = hall;
    this.#counters = counters;
    this.#refused = refused;
  }

  accepted(): boolean {
    this.#counters.tcpAccepts++;
    return true;
  }

  opened(stream: Stream): StreamHandler {
    this.#counters.openStreams++;
    if (!this.#hall.enter(stream, EMPTY)) {
      this.#refused('connection_limit', stream.remote, 'too many HTTP connections');
      stream.abort();
    }
    return stream.handler;
  }

  released(): void {
    this.#counters.openStreams--;
  }

  failed(): void {
    // Without TLS there is no handshake that could fail.
  }

  error(error: Error): void {
    this.#refused('tls_error', { ip: '', port: 0 }, `listener: ${error.message}`);
  }
}
