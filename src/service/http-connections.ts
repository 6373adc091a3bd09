import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { DoorConnection } from '../relay/door/door-connection.ts';
import { type Place, SourceTable } from '../relay/door/source-table.ts';
import type { RefusalReason } from '../observe/counters.ts';
import { streamToDuplex } from '../transport/shared/duplex.ts';
import type { Endpoint, Stream } from '../transport/port.ts';
import { sourcePath } from '../base/ip-prefix.ts';

/** Requests that one connection may make; the answer to the last one ends it. */
const MAX_REQUESTS = 1000;
/** A source that holds most makes room for itself only by what is older than this. */
const PATIENCE_MS = 1000;

export interface HttpConnectionsParts {
  readonly server: Server;
  /** Connections at a time. */
  readonly limit: number;
  readonly clock: Clock;
  readonly refused: (reason: RefusalReason, remote: Endpoint, detail: string) => void;
}

interface HttpConnection {
  readonly stream: Stream;
  place: Place<HttpConnection> | null;
  requests: number;
}

/** By the HTTP server's view of a stream, so that a request finds its way back to the stream below. */
const connections = new WeakMap<object, HttpConnection>();

/**
 * Gives streams to an HTTP server, a bounded number at a time. When it is full, the connection that was idle for longest
 * is ended, of the source that holds most.
 */
export class HttpConnections {
  readonly #parts: HttpConnectionsParts;
  readonly #table = new SourceTable<HttpConnection>();

  constructor(parts: HttpConnectionsParts) {
    this.#parts = parts;
    // Before the handler, which may have sent the head of its answer when it returns.
    parts.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#requested(request, response),
    );
  }

  /** Hands the stream over with what was read of it, or ends it when its source holds most and is busy. */
  enter(stream: Stream, received: Buffer): void {
    const { server, clock, limit, refused } = this.#parts;
    const path = sourcePath(stream.remote.ip);
    if (this.#table.size >= limit && !this.#makeRoom(path)) {
      refused('connection_limit', stream.remote, `${limit} HTTP connections are open, most of them from there`);
      stream.abort();
      return;
    }
    const duplex = streamToDuplex(stream, received);
    const connection: HttpConnection = { stream, place: null, requests: 0 };
    connection.place = this.#table.add(path, connection, clock.now);
    connections.set(duplex, connection);
    duplex.on('error', () => undefined);
    duplex.once('close', () => this.leave(duplex));
    server.emit('connection', duplex);
  }

  /** It is no HTTP connection any more. */
  leave(duplex: object): void {
    const connection = connections.get(duplex);
    if (connection === undefined || connection.place === null) return;
    this.#table.remove(connection.place);
    connection.place = null;
  }

  #makeRoom(path: readonly string[]): boolean {
    const { clock, refused } = this.#parts;
    const candidate = this.#table.candidate(path, 'oldest');
    if (candidate === null || (candidate.isOwn && clock.now - candidate.place.sinceMs < PATIENCE_MS)) return false;
    const connection = candidate.place.item;
    this.#table.remove(candidate.place);
    connection.place = null;
    refused('connection_limit', connection.stream.remote, 'makes room for other HTTP connections');
    connection.stream.abort();
    return true;
  }

  #requested({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = connections.get(socket);
    if (connection === undefined || connection.place === null) return;
    this.#table.renew(connection.place, this.#parts.clock.now);
    if (connection.stream.connection instanceof DoorConnection) connection.stream.connection.progressed();
    if (++connection.requests >= MAX_REQUESTS) response.setHeader('Connection', 'close');
  }
}

/** The stream below what an HTTP server has been given; undefined for anything else. */
export function streamUnder(duplex: object): Stream | undefined {
  return connections.get(duplex)?.stream;
}
