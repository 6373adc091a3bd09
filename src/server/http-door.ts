import type { Counters, RefusalReason } from '../observe/counters.ts';
import type { Endpoint, HandshakeFailure, ListenerHandler, Stream, StreamHandler } from '../transport/port.ts';
import type { DoorGuard } from '../net/door-guard.ts';
import type { HttpHall } from './rooms.ts';

const EMPTY = Buffer.alloc(0);

interface HttpDoorParts {
  readonly hall: HttpHall;
  readonly counters: Counters;
  readonly refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void;
  /** Null: everybody may connect, as to the administration, which strangers do not reach. */
  readonly guard: DoorGuard | null;
  readonly onListenerError: (error: Error) => void;
}

/** Stands behind a listener on which everything is HTTP: port 80 and the administration. */
export class HttpDoor implements ListenerHandler {
  readonly #parts: HttpDoorParts;

  constructor(parts: HttpDoorParts) {
    this.#parts = parts;
  }

  accepted(remote: Endpoint): boolean {
    const { counters, guard, refused } = this.#parts;
    counters.tcpAccepts++;
    const refusal = guard?.admit(remote.ip) ?? null;
    if (refusal === null) return true;
    refused(refusal.reason, remote, refusal.detail);
    return false;
  }

  opened(stream: Stream): StreamHandler {
    const { counters, guard, hall, refused } = this.#parts;
    counters.openStreams++;
    guard?.settled(stream.remote.ip);
    if (!hall.enter(stream, EMPTY)) {
      refused('connection_limit', stream.remote, 'too many HTTP connections');
      stream.abort();
    }
    return stream.handler;
  }

  released(stream: Stream): void {
    this.#parts.counters.openStreams--;
    this.#parts.guard?.left(stream.remote.ip);
  }

  failed(remote: Endpoint, failure: HandshakeFailure, detail: string): void {
    // Without TLS there is no handshake that could fail, but a PROXY header can.
    this.#parts.refused(failure, remote, detail);
  }

  error(error: Error): void {
    this.#parts.refused('listener_error', { ip: '', port: 0 }, error.message);
    this.#parts.onListenerError(error);
  }
}
