import type { AdminPage } from '../../http/admin.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { nodeReport, reportText, type NodeReport } from '../../tailnet/node-report.ts';
import { TowpathError } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { AddressSource } from './advertised-addresses.ts';
import type { PeerRelay } from './peer-relay.ts';
import { useReportText, type UseReport } from './why.ts';

/** The status of the peer relay as the page gives it in JSON. */
export interface PeerRelayStatus {
  readonly listens: readonly { readonly ip: string; readonly port: number }[];
  /** The addresses that clients get. */
  readonly addresses: readonly { readonly ip: string; readonly port: number }[];
  /** Milliseconds since 1970; null: not yet. */
  readonly addressesFoundAt: number | null;
  /** The sources of these addresses. A source whose latest round failed has those of an earlier one. */
  readonly addressSources: readonly AddressSource[];
  readonly tailnets: readonly NodeReport[];
}

/** The pages of the peer relay by their path. */
export function peerRelayPages(relay: PeerRelay): Readonly<Record<string, AdminPage>> {
  return { '/peer-relay': statusPage(relay), '/peer-relay/why': whyPage(relay) };
}

/** Returns the page with the listeners, the addresses for clients, and the readiness in each tailnet. */
function statusPage(relay: PeerRelay): AdminPage {
  return {
    help: 'the peer relay and its tailnets',
    text: () => [headText(relay), ...reports(relay).map(reportText)].join('\n'),
    json: (): PeerRelayStatus => ({
      listens: relay.places,
      addresses: relay.advertised.addresses,
      addressesFoundAt: relay.advertised.foundAt,
      addressSources: relay.advertised.sources,
      tailnets: reports(relay),
    }),
  };
}

/** Returns the page that says why a node, or a pair of nodes, does not use the relay: `?node=NODE&other=OTHER`. */
function whyPage(relay: PeerRelay): AdminPage {
  const ask = (query: URLSearchParams): Promise<UseReport[]> => {
    const node = query.get('node') ?? '';
    if (node === '') {
      throw new TowpathError('TOWPATH_USAGE_NODE', 'the parameter node is missing', {
        hint: 'Ask for /peer-relay/why?node=NODE&other=OTHER: names, IP addresses or node keys.',
      });
    }
    return relay.why(node, query.get('other'));
  };
  return {
    help: 'why a node does not use the peer relay: ?node=NODE&other=OTHER',
    text: async (query) => (await ask(query)).map(useReportText).join('\n'),
    json: ask,
  };
}

function reports(relay: PeerRelay): NodeReport[] {
  const facts = relay.facts();
  return relay.tailnets.map(({ node, relay: recipient }) => nodeReport(node, recipient, facts));
}

function headText({ places, advertised }: PeerRelay): string {
  const lines = [
    `listens on       ${list(places)}`,
    `clients are told ${list(advertised.addresses)}`,
    ...advertised.sources.filter(hasNews).map(sourceText),
  ];
  return `${lines.map((line) => printable(line)).join('\n')}\n`;
}

function list(entries: readonly { ip: string; port: number }[]): string {
  return entries.length === 0 ? 'nothing' : entries.map(({ ip, port }) => formatHostPort(ip, port)).join(' ');
}

function hasNews({ addresses, problem }: AddressSource): boolean {
  return addresses.length > 0 || problem !== null;
}

function sourceText({ name, addresses, how, foundAt, problem }: AddressSource): string {
  const age = foundAt === null ? '' : `, ${Math.max(0, Math.round((Date.now() - foundAt) / 1000))} s ago`;
  const failure = problem === null ? '' : `; the latest round failed: ${problem}`;
  const by = how === null ? '' : ` by ${how}`;
  return `  ${name.padEnd(15)}${list(addresses)}${by}${age}${failure}`;
}
