import type { AdminPage } from '../../http/admin.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { nodeReport, reportText, type NodeReport } from '../../tailnet/node-report.ts';
import type { PeerRelay } from './peer-relay.ts';

/** The page of the peer relay: where it listens, what clients are told, and whether it is ready in each tailnet. */
export function peerRelayPage(relay: PeerRelay): AdminPage {
  return {
    help: 'the peer relay and its tailnets',
    text: () => [headText(relay), ...reports(relay).map(reportText)].join('\n'),
    json: () => ({
      listens: relay.places,
      addresses: relay.advertised.addresses,
      addressesFoundAt: relay.advertised.foundAt,
      tailnets: reports(relay),
    }),
  };
}

function reports(relay: PeerRelay): NodeReport[] {
  const facts = relay.facts();
  return relay.tailnets.map(({ node, relay: recipient }) => nodeReport(node, recipient, facts));
}

function headText({ places, advertised }: PeerRelay): string {
  const list = (entries: readonly { ip: string; port: number }[]): string =>
    entries.length === 0 ? 'nothing' : entries.map(({ ip, port }) => formatHostPort(ip, port)).join(' ');
  return `listens on      ${list(places)}\nclients are told ${list(advertised.addresses)}\n`;
}
