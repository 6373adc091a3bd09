import type { UdpSessionRow, UdpSessionsAnswer } from '../../api/shapes.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { ApiError } from '../../http/api/api-error.ts';
import { forwardedOf, type UdpRelaySnapshot } from '../../relay/udp/snapshot.ts';
import { nodeReport } from '../../tailnet/node-report.ts';
import type { PeerRelay } from '../peer-relay/peer-relay.ts';
import { pageOf, wholeNumber } from './connection-list.ts';

const DEFAULT_SIZE = 50;
const MOST_ROWS = 500;
/** Sessions beyond these are counted and not listed. */
const MOST_SESSIONS = 10_000;

/** Returns the answer of a relay without UDP relay. */
export function noUdpSessions(): UdpSessionsAnswer {
  return {
    isOn: false,
    listens: [],
    addresses: [],
    connecting: 0,
    open: 0,
    forwardedPackets: 0,
    forwardedBytes: 0,
    drops: {},
    tailnets: [],
    sessions: pageOf<UdpSessionRow>([], 1, DEFAULT_SIZE),
  };
}

/**
 * Returns the UDP relay with one page of its sessions, the busiest first. Rejects with an {@link ApiError} for wrong
 * parameters.
 */
export async function udpSessions(relay: PeerRelay, parameters: URLSearchParams): Promise<UdpSessionsAnswer> {
  const page = wholeNumber(parameters.get('page'), 1);
  const size = wholeNumber(parameters.get('size'), DEFAULT_SIZE);
  if (page === null || page < 1 || size === null || size < 1 || size > MOST_ROWS) {
    throw new ApiError(400, 'invalid_parameter', `page and size: allowed: whole numbers from 1, size to ${MOST_ROWS}`);
  }
  const snapshot = await relay.snapshot({ endpoints: MOST_SESSIONS });
  const rows = (snapshot?.endpoints ?? []).map(rowOf).sort((a, b) => bytesOf(b) - bytesOf(a) || a.vni - b.vni);
  const facts = relay.facts();
  const { bytes, packets } = forwardedOf(snapshot);
  return {
    isOn: true,
    listens: relay.places.map(({ ip, port }) => formatHostPort(ip, port)),
    addresses: relay.advertised.addresses.map(({ ip, port }) => formatHostPort(ip, port)),
    connecting: snapshot?.connecting ?? 0,
    open: snapshot?.open ?? 0,
    forwardedPackets: packets,
    forwardedBytes: bytes,
    drops: snapshot?.drops ?? {},
    tailnets: relay.tailnets.map((tailnet) => {
      const { name, isReady, problems, nodes, grantedNodes } = nodeReport(tailnet.node, tailnet.relay, facts);
      const listed = problems.map(({ code, problem, hint }) => ({ name: code, problem, advice: hint }));
      return { name, isReady, problems: listed, nodes, grantedNodes };
    }),
    sessions: pageOf(rows, page, size),
  };
}

function rowOf({ vni, state, ageMs, sides }: UdpRelaySnapshot['endpoints'][number]): UdpSessionRow {
  return {
    vni,
    state,
    ageSeconds: Math.round(ageMs) / 1000,
    sides: sides.map(({ node, disco, address, seenAgoMs, packets, bytes }) => ({
      ...{ node, disco, address },
      seenSecondsAgo: seenAgoMs === null ? null : Math.round(seenAgoMs) / 1000,
      ...{ packets, bytes },
    })),
  };
}

function bytesOf({ sides }: UdpSessionRow): number {
  return sides.reduce((sum, { bytes }) => sum + bytes, 0);
}
