import type { Counters, RefusalReason } from '../../observe/counters.ts';
import type {
  Abortable,
  ConnectionHandler,
  Endpoint,
  HandshakeFailure,
  Stream,
  StreamHandler,
} from '../../transport/port.ts';
import type { Admitted, DoorGuard, GuardedConnection, GuardRefusal } from './door-guard.ts';

/** The owner of accepted connections. */
export interface Door {
  readonly counters: Counters;
  /** Returns the handler for the stream of an accepted connection. */
  entered(stream: Stream, connection: DoorConnection): StreamHandler;
  refused(reason: RefusalReason, remote: Endpoint, detail: string): void;
}

/** One accepted connection, from its acceptance to the end of its descriptor. */
export class DoorConnection implements ConnectionHandler, GuardedConnection {
  /** Replaced when a trusted proxy names its client. */
  remote: Endpoint;
  readonly #door: Door;
  /** Null when every connection is accepted. */
  #admitted: Admitted | null = null;
  /** The handshake, later the stream. */
  #ongoing: Abortable | null = null;
  #isOpen = false;
  #isEvicted = false;

  private constructor(door: Door, remote: Endpoint) {
    this.#door = door;
    this.remote = remote;
  }

  /** Asks the guard, if there is one; null when it refuses, which is reported. */
  static admit(door: Door, guard: DoorGuard | null, remote: Endpoint): DoorConnection | null {
    door.counters.tcpAccepts++;
    const connection = new DoorConnection(door, remote);
    if (guard === null) return connection;
    const answer = guard.admit(remote.ip, connection);
    if ('reason' in answer) {
      door.refused(answer.reason, remote, answer.detail);
      return null;
    }
    connection.#admitted = answer;
    return connection;
  }

  /** True when it was ended to make room, which was already reported. */
  get isEvicted(): boolean {
    return this.#isEvicted;
  }

  handshaking(handshake: Abortable): void {
    this.#ongoing = handshake;
  }

  opened(stream: Stream): StreamHandler {
    this.#ongoing = stream;
    this.#isOpen = true;
    this.#door.counters.openStreams++;
    this.progressed();
    return this.#door.entered(stream, this);
  }

  failed(failure: HandshakeFailure, detail: string): void {
    this.#door.refused(failure, this.remote, detail);
  }

  released(): void {
    if (this.#isOpen) this.#door.counters.openStreams--;
    this.#admitted?.left();
  }

  evicted(reason: RefusalReason, detail: string): void {
    this.#isEvicted = true;
    this.#door.refused(reason, this.remote, detail);
    this.#ongoing?.abort();
  }

  /** The connection made progress, which a connection that only takes up room does not do. */
  progressed(): void {
    this.#admitted?.progressed();
  }

  /** Counts the connection for `remote` from now on; returns a refusal when `remote` has too many. */
  movedTo(remote: Endpoint): GuardRefusal | null {
    const refusal = this.#admitted?.movedTo(remote.ip) ?? null;
    if (refusal === null) this.remote = remote;
    return refusal;
  }

  /** Marks it as an admitted DERP connection, unless a refusal is returned. `isExempt`: never refused. */
  established(isExempt: boolean): GuardRefusal | null {
    return this.#admitted?.established(isExempt) ?? null;
  }
}
