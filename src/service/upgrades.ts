import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { headOf } from '../http/incoming-head.ts';
import { afterAnswers } from '../http/pending-answers.ts';
import { derpFacts, type RequestHead, upgradeOf } from '../wire/request-head.ts';
import { BAD_WEBSOCKET_REQUEST, webSocketProblem } from '../relay/door/websocket-request.ts';
import { acceptWebSocket, createWebSocketServer, WebSocketStream } from '../relay/door/websocket-stream.ts';
import type { RefusalReason } from '../observe/counters.ts';
import type { Relay } from '../relay/relay.ts';
import type { SocketLike } from '../transport/shared/duplex.ts';
import type { Stream } from '../transport/port.ts';
import { type HttpConnections, streamUnder } from './http-connections.ts';

interface UpgradeParts {
  readonly relay: Relay;
  readonly server: Server;
  readonly httpConnections: HttpConnections;
}

/**
 * Makes DERP connections from the upgrades of an HTTP server: WebSockets, and DERP in a later request of a connection,
 * as a proxy sends it that reuses its connections.
 */
export function handleUpgrades({ relay, server, httpConnections }: UpgradeParts): void {
  const webSockets = createWebSocketServer();
  const refuse = (duplex: Duplex, reason: RefusalReason, detail: string, answer: string): void => {
    const stream = streamUnder(duplex);
    if (stream !== undefined) relay.refused(reason, stream.remote, null, detail);
    duplex.end(answer, () => duplex.destroy());
  };
  const startDerp = (duplex: SocketLike, early: Buffer, head: RequestHead): void => {
    duplex.release(early, (stream, received) => {
      const handler = relay.startSession(stream, derpFacts(head));
      stream.handler = handler;
      if (received.length > 0) handler.bytes(stream, received, 0, received.length);
    });
  };
  const startWebSocket = (
    request: IncomingMessage,
    duplex: Duplex,
    early: Buffer,
    head: RequestHead,
    stream: Stream,
  ): void => {
    const problem = webSocketProblem(head);
    if (problem !== null) {
      refuse(duplex, problem.reason, problem.detail, problem.answer);
      return;
    }
    acceptWebSocket(webSockets, request, duplex, early, (socket) => {
      httpConnections.leave(duplex);
      new WebSocketStream(socket, stream, (own) => relay.startWebSocketSession(own));
    });
  };
  server.on('upgrade', (request: IncomingMessage, duplex: Duplex, early: Buffer) => {
    const stream = streamUnder(duplex);
    const head = headOf(request);
    if (stream === undefined || 'status' in head) {
      duplex.destroy();
      return;
    }
    afterAnswers(duplex, () => {
      if (upgradeOf(head) === 'derp') startDerp(duplex as SocketLike, early, head);
      else startWebSocket(request, duplex, early, head, stream);
    });
  });
  webSockets.on('wsClientError', (error, duplex) => {
    refuse(duplex, 'websocket_invalid', error.message, BAD_WEBSOCKET_REQUEST);
  });
}
