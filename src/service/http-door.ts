import type { Counters, RefusalReason } from '../observe/counters.ts';
import { type Door, DoorConnection } from '../relay/door/door-connection.ts';
import type { DoorGuard } from '../relay/door/door-guard.ts';
import type { Endpoint, ListenerHandler, Stream, StreamHandler } from '../transport/port.ts';
import type { HttpConnections } from './http-connections.ts';

const EMPTY = Buffer.alloc(0);

interface HttpDoorParts {
  readonly httpConnections: HttpConnections;
  readonly counters: Counters;
  readonly refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void;
  /** Null when every client may connect, as on the admin listener, which is not public. */
  readonly guard: DoorGuard | null;
  readonly onListenerError: (error: Error) => void;
}

/** The handler of a listener with HTTP only: port 80 and the admin listener. */
export class HttpDoor implements ListenerHandler, Door {
  readonly counters: Counters;
  readonly #parts: HttpDoorParts;

  constructor(parts: HttpDoorParts) {
    this.#parts = parts;
    this.counters = parts.counters;
  }

  accepted(remote: Endpoint): DoorConnection | null {
    return DoorConnection.admit(this, this.#parts.guard, remote);
  }

  entered(stream: Stream): StreamHandler {
    this.#parts.httpConnections.enter(stream, EMPTY);
    return stream.handler;
  }

  refused(reason: RefusalReason, remote: Endpoint, detail: string): void {
    this.#parts.refused(reason, remote, detail);
  }

  error(error: Error): void {
    this.refused('listener_error', { ip: '', port: 0 }, error.message);
    this.#parts.onListenerError(error);
  }
}
