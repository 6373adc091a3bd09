import type { Server } from 'node:http';
import type { WebSocketServer } from 'real-ws';
import type { Counters } from '../observe/counters.ts';
import type { Rooms } from '../net/front-door.ts';
import { acceptWebSocket, createWebSocketServer, WebSocketStream } from '../net/websocket-stream.ts';
import type { SessionContext } from '../session/context.ts';
import { Session } from '../session/session.ts';
import { upgradeResponseHead } from '../wire/handshake.ts';
import { HttpHall, streamUnder } from './http-hall.ts';
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
  /** Open streams that are ordinary HTTP. */
  readonly httpConnections: number;
}

/** Builds the rooms behind the front door: DERP sessions, and HTTP with WebSocket on the same stream. */
export function buildRooms(parts: RoomParts): Rooms {
  const { context, refusals, http } = parts;
  const head = upgradeResponseHead(context.keyPair.publicKey);
  const webSockets = createWebSocketServer();
  const refused: Rooms['refused'] = (reason, remote, detail) => refusals.refused(reason, remote, null, detail);
  const hall = new HttpHall({ server: http, limit: parts.httpConnections, clock: context.clock, refused });
  upgradeToWebSocket(parts, webSockets, hall);
  return {
    derp: (stream, { fastStart, notIdeal }) => {
      const session = new Session(stream, context, { notIdeal }, fastStart ? '' : head);
      parts.began(session);
      return session;
    },
    http: (stream, received) => hall.enter(stream, received),
    refused,
  };
}

function upgradeToWebSocket(parts: RoomParts, webSockets: WebSocketServer, hall: HttpHall): void {
  const { context, counters, refusals, http } = parts;
  http.on('upgrade', (request, duplex, head) => {
    const under = streamUnder(duplex);
    if (under === undefined || request.headers['sec-websocket-protocol']?.includes('derp') !== true) {
      if (under !== undefined) refusals.refused('websocket_refused', under.remote, null, 'no subprotocol derp');
      duplex.destroy();
      return;
    }
    acceptWebSocket(webSockets, request, duplex, head, (socket) => {
      counters.websocketAccepts++;
      hall.leave(duplex);
      new WebSocketStream(socket, under, (stream) => {
        const session = new Session(stream, context, { notIdeal: false }, '');
        parts.began(session);
        return session;
      });
    });
  });
  webSockets.on('wsClientError', (error, duplex) => {
    const under = streamUnder(duplex);
    if (under !== undefined) refusals.refused('websocket_invalid', under.remote, null, error.message);
    duplex.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
}
