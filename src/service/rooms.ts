import type { Server } from 'node:http';
import type { Counters } from '../observe/counters.ts';
import type { Rooms } from '../relay/door/front-door.ts';
import type { RequestHead } from '../wire/request-head.ts';
import type { SessionContext } from '../relay/session/context.ts';
import { Session } from '../relay/session/session.ts';
import type { Stream } from '../transport/port.ts';
import { upgradeResponseHead } from '../wire/handshake.ts';
import { HttpHall, streamUnder } from './http-hall.ts';
import type { Refusals } from './refusals.ts';
import { handleUpgrades } from './upgrades.ts';

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

/** Who decides on further requests of streams that carry several clients. */
const judges = new WeakMap<Stream, (head: RequestHead) => boolean>();

/** Whether a request that came over `duplex` may be answered, where it depends on the client that the request names. */
export function isRequestAllowed(duplex: object, head: RequestHead): boolean {
  const stream = streamUnder(duplex);
  const judge = stream === undefined ? undefined : judges.get(stream);
  return judge === undefined || judge(head);
}

/** Builds the rooms behind the front door: DERP sessions, and HTTP with WebSocket on the same stream. */
export function buildRooms(parts: RoomParts): Rooms {
  const { context, refusals, http } = parts;
  const head = upgradeResponseHead(context.keyPair.publicKey);
  const refused: Rooms['refused'] = (reason, remote, detail) => refusals.refused(reason, remote, null, detail);
  const hall = new HttpHall({ server: http, limit: parts.httpConnections, clock: context.clock, refused });
  const derp: Rooms['derp'] = (stream, { fastStart, notIdeal }) => {
    const session = new Session(stream, context, { notIdeal }, fastStart ? '' : head);
    parts.began(session);
    return session;
  };
  handleUpgrades({ ...parts, derp, hall });
  return {
    derp,
    http: (stream, received, isAllowed) => {
      if (isAllowed !== null) judges.set(stream, isAllowed);
      hall.enter(stream, received);
    },
    refused,
  };
}
