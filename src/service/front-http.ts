import type { Server } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { DoorHandlers } from '../relay/door/front-door.ts';
import type { Relay } from '../relay/relay.ts';
import type { Stream } from '../transport/port.ts';
import type { RequestHead } from '../wire/request-head.ts';
import { HttpConnections, streamUnder } from './http-connections.ts';
import { handleUpgrades } from './upgrades.ts';

/** Options of the HTTP on the relay's ports. */
export interface FrontHttpParts {
  readonly relay: Relay;
  readonly clock: Clock;
  /** Answers requests that do not become a DERP connection. */
  readonly server: Server;
  /** Open streams that are ordinary HTTP. */
  readonly connectionLimit: number;
}

/** Checks of further requests on streams that carry several clients. */
const judges = new WeakMap<Stream, (head: RequestHead) => boolean>();

/** Returns whether a request over `duplex` may be answered, if that depends on the client in the request. */
export function isRequestAllowed(duplex: object, head: RequestHead): boolean {
  const stream = streamUnder(duplex);
  const judge = stream === undefined ? undefined : judges.get(stream);
  return judge === undefined || judge(head);
}

/**
 * HTTP and WebSocket on the ports of the relay. Returns the handler of connections whose first request is not for DERP.
 */
export function frontHttp({ relay, clock, server, connectionLimit }: FrontHttpParts): DoorHandlers['http'] {
  const refused: DoorHandlers['refused'] = (reason, remote, detail) => relay.refused(reason, remote, null, detail);
  const httpConnections = new HttpConnections({ server, limit: connectionLimit, clock, refused });
  handleUpgrades({ relay, server, httpConnections });
  return (stream, received, isAllowed) => {
    if (isAllowed !== null) judges.set(stream, isAllowed);
    httpConnections.enter(stream, received);
  };
}
