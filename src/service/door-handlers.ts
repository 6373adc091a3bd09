import type { Server } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../observe/counters.ts';
import type { DoorHandlers } from '../relay/door/front-door.ts';
import type { RequestHead } from '../wire/request-head.ts';
import type { Sessions } from '../relay/session/sessions.ts';
import type { Stream } from '../transport/port.ts';
import { upgradeResponseHead } from '../wire/handshake.ts';
import { HttpConnections, streamUnder } from './http-connections.ts';
import type { Refusals } from './refusals.ts';
import { handleUpgrades } from './upgrades.ts';

/** What every room needs. */
export interface DoorHandlersParts {
  readonly sessions: Sessions;
  readonly clock: Clock;
  /** The relay's key, which the response head shows. */
  readonly publicKey: Buffer;
  readonly counters: Counters;
  readonly refusals: Refusals;
  /** Answers requests that do not become a DERP connection. */
  readonly http: Server;
  /** Open streams that are ordinary HTTP. */
  readonly httpConnectionLimit: number;
}

/** Who decides on further requests of streams that carry several clients. */
const judges = new WeakMap<Stream, (head: RequestHead) => boolean>();

/** Whether a request that came over `duplex` may be answered, where it depends on the client that the request names. */
export function isRequestAllowed(duplex: object, head: RequestHead): boolean {
  const stream = streamUnder(duplex);
  const judge = stream === undefined ? undefined : judges.get(stream);
  return judge === undefined || judge(head);
}

/** Builds the rooms behind the front door: DERP sessions, and HTTP with WebSocket on the same stream. */
export function createDoorHandlers(parts: DoorHandlersParts): DoorHandlers {
  const { sessions, refusals, http } = parts;
  const head = upgradeResponseHead(parts.publicKey);
  const refused: DoorHandlers['refused'] = (reason, remote, detail) => refusals.refused(reason, remote, null, detail);
  const httpConnections = new HttpConnections({
    server: http,
    limit: parts.httpConnectionLimit,
    clock: parts.clock,
    refused,
  });
  const derp: DoorHandlers['derp'] = (stream, { fastStart, notIdeal }) => {
    return sessions.start(stream, { notIdeal, isWebSocket: false }, fastStart ? '' : head);
  };
  handleUpgrades({ ...parts, derp, httpConnections });
  return {
    derp,
    http: (stream, received, isAllowed) => {
      if (isAllowed !== null) judges.set(stream, isAllowed);
      httpConnections.enter(stream, received);
    },
    refused,
  };
}
