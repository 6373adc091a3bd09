import type { Server } from 'node:http';
import type { WebSocketServer } from 'real-ws';
import type { Counters } from '../observe/counters.ts';
import type { Rooms } from '../net/front-door.ts';
import { acceptWebSocket, createWebSocketServer, WebSocketStream } from '../net/websocket-stream.ts';
import type { SessionContext } from '../session/context.ts';
import { Session } from '../session/session.ts';
import { streamToDuplex } from '../transport/duplex.ts';
import type { Stream } from '../transport/port.ts';
import { upgradeResponseHead } from '../wire/handshake.ts';
import type { Refusals } from './refusals.ts';

/** What every room needs. */
export interface RoomParts {
  readonly context: SessionContext;
  readonly counters: Counters;
  readonly refusals: Refusals;
  /** Keeps account of all sessions; told of each new one. */
  readonly began: (session: Session) => void;
  /** Answers requests that do not become a DERP connection. */
  readonly http: Server;
  /** Open streams that are ordinary HTTP; more are refused. */
  readonly httpConnections: number;
}

/** The HTTP server's view of a stream, so that an upgrade finds its way back to the stream below. */
const streams = new WeakMap<object, Stream>();

/** Builds the rooms behind the front door: DERP sessions, and HTTP with WebSocket on the same stream. */
export function buildRooms(parts: RoomParts): Rooms {
  const { context, refusals, http } = parts;
  const head = upgradeResponseHead(context.keyPair.publicKey);
  const webSockets = createWebSocketServer();
  upgradeToWebSocket(parts, webSockets);
  const hall = new HttpHall(http, parts.httpConnections);
  return {
    derp: (stream, { fastStart, notIdeal }) => {
      const session = new Session(stream, context, { notIdeal }, fastStart ? '' : head);
      parts.began(session);
      return session;
    },
    http: (stream, received) => {
      if (!hall.enter(stream, received)) {
        refusals.refused('connection_limit', stream.remote, null, 'too many HTTP connections');
        stream.abort();
      }
    },
    refused: (reason, remote, detail) => refusals.refused(reason, remote, null, detail),
  };
}

/** Gives streams to an HTTP server, a bounded number at a time. */
export class HttpHall {
  readonly #server: Server;
  readonly #limit: number;
  #open = 0;

  constructor(server: Server, limit: number) {
    this.#server = server;
    this.#limit = limit;
  }

  /** Hands the stream over with what was read of it; false when there are too many. */
  enter(stream: Stream, received: Buffer): boolean {
    if (this.#open >= this.#limit) return false;
    this.#open++;
    const duplex = streamToDuplex(stream, received);
    streams.set(duplex, stream);
    duplex.on('error', () => undefined);
    duplex.once('close', () => this.#open--);
    this.#server.emit('connection', duplex);
    return true;
  }
}

function upgradeToWebSocket(parts: RoomParts, webSockets: WebSocketServer): void {
  const { context, counters, refusals, http } = parts;
  http.on('upgrade', (request, duplex, head) => {
    const under = streams.get(duplex);
    if (under === undefined || request.headers['sec-websocket-protocol']?.includes('derp') !== true) {
      if (under !== undefined) refusals.refused('websocket_refused', under.remote, null, 'no subprotocol derp');
      duplex.destroy();
      return;
    }
    acceptWebSocket(webSockets, request, duplex, head, (socket) => {
      counters.websocketAccepts++;
      new WebSocketStream(socket, under, (stream) => {
        const session = new Session(stream, context, { notIdeal: false }, '');
        parts.began(session);
        return session;
      });
    });
  });
  webSockets.on('wsClientError', (error, duplex) => {
    const under = streams.get(duplex);
    if (under !== undefined) refusals.refused('websocket_invalid', under.remote, null, error.message);
    duplex.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
}
