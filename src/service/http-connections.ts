import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { DoorConnection } from '../relay/door/door-connection.ts';
import { type Place, SourceTable } from '../relay/door/source-table.ts';
import type { RefusalReason } from '../observe/counters.ts';
import { streamToDuplex } from '../transport/shared/duplex.ts';
import type { Endpoint, Stream } from '../transport/port.ts';
import { sourcePath } from '../base/ip-prefix.ts';

/** Most requests on one connection. The answer to the last one ends it. */
const MAX_REQUESTS = 1000;
/**
 * A new connection of the source with the most connections replaces only connections that were idle for this time, in
 * milliseconds.
 */
const PATIENCE_MS = 1000;
/**
 * With `idleGivesWay`: most connections above the limit in one turn of the event loop, the number that the system
 * delivers at once.
 */
const BURST = 512;
/** Turns of the event loop after which a connection has had the time to send its request. */
const TURNS = 2;

export interface HttpConnectionsParts {
  readonly server: Server;
  /** Most connections at a time. */
  readonly limit: number;
  /**
   * True: at the limit, a connection without a request is ended for a new one, however young it is. For listeners with
   * a single source, such as loopback: otherwise a flood would keep all other clients out.
   */
  readonly idleGivesWay?: boolean;
  readonly clock: Clock;
  readonly refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void;
}

interface HttpConnection {
  readonly stream: Stream;
  place: Place<HttpConnection> | null;
  /** With `idleGivesWay`: its place among the idle connections while it has no request. */
  idlePlace: Place<HttpConnection> | null;
  /** The {@link HttpConnections.#turn} in which it came. */
  readonly turn: number;
  requests: number;
}

/** Connections by the HTTP server's duplex, to find the stream of a request. */
const connections = new WeakMap<object, HttpConnection>();

/**
 * Gives streams to an HTTP server, a limited number at a time. At the limit, the connection that was idle for longest
 * is ended, of the source with the most connections.
 */
export class HttpConnections {
  readonly #parts: HttpConnectionsParts;
  readonly #table = new SourceTable<HttpConnection>();
  readonly #idle = new SourceTable<HttpConnection>();
  /** Number of the turn. It counts while there are more connections than the limit. */
  #turn = 0;
  #isTrimming = false;

  constructor(parts: HttpConnectionsParts) {
    this.#parts = parts;
    // Registered before the handler, which may send the head of its answer at once.
    parts.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#requested(request, response),
    );
  }

  /**
   * Gives the stream to the server with the bytes already read, or ends it when its source has the most connections and
   * is busy.
   */
  enter(stream: Stream, received: Buffer): void {
    const { server, clock, limit, refused } = this.#parts;
    const path = sourcePath(stream.remote.ip);
    if (this.#table.size >= limit && !this.#makeRoom(path)) {
      refused('connection_limit', stream.remote, `${limit} HTTP connections are open, most of them from there`);
      stream.abort();
      return;
    }
    const duplex = streamToDuplex(stream, received);
    const connection: HttpConnection = { stream, place: null, idlePlace: null, turn: this.#turn, requests: 0 };
    connection.place = this.#table.add(path, connection, clock.now);
    this.#becameIdle(connection);
    connections.set(duplex, connection);
    duplex.on('error', () => undefined);
    duplex.once('close', () => this.leave(duplex));
    server.emit('connection', duplex);
  }

  /** Removes a connection that is no longer HTTP. */
  leave(duplex: object): void {
    const connection = connections.get(duplex);
    if (connection !== undefined) this.#remove(connection);
  }

  #makeRoom(path: readonly string[]): boolean {
    const { clock, limit } = this.#parts;
    const idle = this.#idle.candidate(path, 'oldest')?.place.item;
    if (idle !== undefined) {
      if (this.#wasHeard(idle) || this.#table.size >= limit + BURST) this.#end(idle);
      else this.#trimLater();
      return true;
    }
    const candidate = this.#table.candidate(path, 'oldest');
    if (candidate === null || (candidate.isOwn && clock.now - candidate.place.sinceMs < PATIENCE_MS)) return false;
    this.#end(candidate.place.item);
    return true;
  }

  #end(connection: HttpConnection): void {
    this.#remove(connection);
    this.#parts.refused('connection_limit', connection.stream.remote, 'makes room for other HTTP connections');
    connection.stream.abort();
  }

  /**
   * Returns whether a connection has had the time to send its request: all connections of one turn are accepted before
   * any is read.
   */
  #wasHeard({ turn }: HttpConnection): boolean {
    return this.#turn - turn >= TURNS;
  }

  /** Ends idle connections above the limit, when they have had the time to send a request. */
  #trimLater(): void {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    setImmediate(() => {
      this.#isTrimming = false;
      this.#turn++;
      while (this.#table.size > this.#parts.limit) {
        const idle = this.#idle.candidate([''], 'oldest')?.place.item;
        if (idle === undefined) return;
        if (!this.#wasHeard(idle)) {
          this.#trimLater();
          return;
        }
        this.#end(idle);
      }
    });
  }

  #remove(connection: HttpConnection): void {
    this.#becameBusy(connection);
    if (connection.place !== null) this.#table.remove(connection.place);
    connection.place = null;
  }

  #becameIdle(connection: HttpConnection): void {
    const { idleGivesWay, clock } = this.#parts;
    if (idleGivesWay !== true || connection.place === null || connection.idlePlace !== null) return;
    connection.idlePlace = this.#idle.add(sourcePath(connection.stream.remote.ip), connection, clock.now);
  }

  #becameBusy(connection: HttpConnection): void {
    if (connection.idlePlace !== null) this.#idle.remove(connection.idlePlace);
    connection.idlePlace = null;
  }

  #requested({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = connections.get(socket);
    if (connection === undefined || connection.place === null) return;
    this.#table.renew(connection.place, this.#parts.clock.now);
    this.#becameBusy(connection);
    response.once('finish', () => this.#becameIdle(connection));
    if (connection.stream.connection instanceof DoorConnection) connection.stream.connection.progressed();
    if (++connection.requests >= MAX_REQUESTS) response.setHeader('Connection', 'close');
  }
}

/** Returns the stream of an HTTP server's duplex; undefined for anything else. */
export function streamUnder(duplex: object): Stream | undefined {
  return connections.get(duplex)?.stream;
}
