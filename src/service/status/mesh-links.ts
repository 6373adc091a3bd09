import type { MeshLink } from '../../api/shapes.ts';
import type { LinkSnapshot } from '../../relay/mesh/snapshot.ts';

/** Returns a link to another relay of the region, as the API gives it. */
export function meshLinkOf(link: LinkSnapshot): MeshLink {
  const { name, address, state, ageMs, serverKey, roundTripMs, keys, queuedBytes } = link;
  const { sentPackets, sentBytes, droppedPackets, problem } = link;
  return {
    ...{ name, address, state },
    ageSeconds: Math.round(ageMs) / 1000,
    serverKey: serverKey === null ? null : `nodekey:${serverKey}`,
    roundTripSeconds: roundTripMs === null ? null : roundTripMs / 1000,
    ...{ keys, queuedBytes, sentPackets, sentBytes, droppedPackets, problem },
  };
}
