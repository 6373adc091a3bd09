import type { X509Certificate } from 'node:crypto';
import { describe, readChain } from '../../certificates/read.ts';
import type { CertificateInfo } from '../../certificates/source.ts';
import { DEFAULT_DERP_PORT, DEFAULT_STUN_PORT, type DerpMap, type DerpNode } from '../../derp-map/derp-map.ts';
import { serverNameFor } from '../../client/relay-url.ts';
import { nameProblem } from '../../wire/certificate-name.ts';
import { isMetaCertificate } from '../../certificates/x509/meta-certificate.ts';
import { canonicalIp, formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { formatPin, parsePin, PIN_PREFIX } from '../../wire/pin.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay, Findings } from './examined-relay.ts';
import { advertisedNode } from './setup.ts';

const HTTP_PORT = 80;

/** One difference between the map and the relay. */
interface Difference {
  readonly text: string;
  readonly fix: string;
  /** True when clients can still use the relay. */
  readonly isHarmless?: boolean;
}

/** The relay's entry in the map, found by its name or by its address. */
export function findNode(map: DerpMap, { config }: ExaminedRelay): DerpNode | null {
  const nodes = Object.values(map.Regions).flatMap(({ Nodes }) => Nodes);
  const { region, hostname, publicIp } = config;
  const addresses = new Set([hostname ?? '', ...publicIp].filter((text) => text !== '').map(canonicalIp));
  return (
    nodes.find(({ Name, RegionID }) => Name === region.nodeName && RegionID === region.id) ??
    nodes.find(({ HostName, IPv4 = '', IPv6 = '' }) =>
      [HostName, IPv4, IPv6].some((text) => addresses.has(canonicalIp(text))),
    ) ??
    (nodes.length === 1 ? nodes[0]! : null)
  );
}

/** Compares the map that clients get with the relay as it is configured and as it serves. */
export function derpMapChecks(map: DerpMap, examined: ExaminedRelay, findings: Findings): Check[] {
  const node = findNode(map, examined);
  const { region, hostname } = examined.config;
  if (node === null) {
    return [
      check(
        'derp-map',
        'failed',
        `the map has no entry for this relay (region ${region.id}, ${hostname ?? region.nodeName})`,
        {
          fix: 'Add the output of "towpath derp-map" to it, or correct region.id and region.nodeName.',
        },
      ),
    ];
  }
  const chain = chainOf(examined, findings);
  const differences = [
    ...portDifferences(node, examined),
    ...addressDifferences(node, examined),
    ...(chain[0] === undefined ? [] : certificateDifferences(node, examined, chain, describe(chain[0]))),
  ];
  const name = `${node.Name} of region ${node.RegionID}`;
  if (differences.length === 0) {
    const where = formatHostPort(node.HostName, node.DERPPort ?? DEFAULT_DERP_PORT);
    return [check('derp-map', 'ok', `${name}, ${where}: matches the relay`)];
  }
  return differences.map(({ text, fix, isHarmless = false }) =>
    check('derp-map', isHarmless ? 'warning' : 'failed', `${name}: ${text}`, { fix }),
  );
}

function portDifferences(node: DerpNode, { config }: ExaminedRelay): Difference[] {
  const found: Difference[] = [];
  const derpPort = config.derpPort ?? (config.transport === 'plain' ? DEFAULT_DERP_PORT : config.listen[0]!.port);
  const mapPort = portOf(node.DERPPort, DEFAULT_DERP_PORT);
  if (mapPort !== derpPort) {
    found.push({
      text: `clients connect to port ${mapPort}, but the relay is on ${derpPort}`,
      fix: `Set DERPPort to ${derpPort} in the map; or set derpPort to ${mapPort}, if a firewall or NAT forwards that port to ${derpPort}.`,
    });
  }
  if (node.STUNOnly === true) {
    found.push({ text: 'STUNOnly is true, so clients never use it as a relay', fix: 'Remove STUNOnly from the map.' });
  }
  const stunPort = config.stun.advertisedPort ?? config.stun.listen[0]?.port ?? -1;
  const mapStun = portOf(node.STUNPort, DEFAULT_STUN_PORT);
  if (mapStun < 0 && stunPort > 0) {
    found.push({
      text: 'STUNPort is negative, so clients do not use STUN here',
      fix: `Set STUNPort to ${stunPort}.`,
      isHarmless: true,
    });
  } else if (mapStun > 0 && stunPort < 0) {
    found.push({
      text: `clients use port ${mapStun} for STUN, but STUN is off`,
      fix: 'Set STUNPort to -1 in the map, or turn STUN on (stun).',
    });
  } else if (mapStun !== stunPort && stunPort > 0) {
    found.push({
      text: `clients use port ${mapStun} for STUN, but STUN listens on ${stunPort}`,
      fix: `Set STUNPort to ${stunPort} in the map; or set stun.advertisedPort to ${mapStun}, if NAT forwards that port.`,
    });
  }
  if (node.CanPort80 === true && !config.http.some(({ port }) => port === HTTP_PORT)) {
    found.push({
      text: 'CanPort80 is true, but the relay does not listen on port 80; clients may take that for a captive portal',
      fix: 'Remove CanPort80 from the map, or set http to "[::]:80".',
      isHarmless: config.http.length > 0,
    });
  }
  return found;
}

function portOf(port: number | undefined, usual: number): number {
  return port === undefined || port === 0 ? usual : port;
}

function addressDifferences(node: DerpNode, { config }: ExaminedRelay): Difference[] {
  const found: Difference[] = [];
  for (const [name, family] of [
    ['IPv4', 4],
    ['IPv6', 6],
  ] as const) {
    const told = node[name] ?? '';
    const known = config.publicIp.filter((ip) => ipFamily(ip) === family);
    if (ipFamily(told) !== family || known.length === 0 || known.includes(canonicalIp(told))) continue;
    found.push({
      text: `${name} is ${told}, but publicIp is ${known.join(', ')}`,
      fix: `Set ${name} to ${known[0]!} in the map, or correct publicIp.`,
    });
  }
  const { hostname } = config;
  if (hostname !== undefined && canonicalIp(node.HostName).toLowerCase() !== canonicalIp(hostname).toLowerCase()) {
    found.push({
      text: `HostName is ${node.HostName}, but hostname is ${hostname}`,
      fix: 'Make them the same.',
      isHarmless: true,
    });
  }
  const { id } = config.region;
  if (node.RegionID !== id) {
    found.push({
      text: `the configuration has region.id ${id}`,
      fix: `Set region.id to ${node.RegionID}.`,
      isHarmless: true,
    });
  }
  return found;
}

/** The certificates that the relay serves or will serve from its files, leaf first. */
function chainOf({ stored }: ExaminedRelay, { chain }: Findings): readonly X509Certificate[] {
  if (chain.length > 0 || stored === null) return chain;
  return readChain(stored.pair.certPem, 'the certificate file').filter((each) => !isMetaCertificate(each));
}

/** Reasons why the official client refuses the certificate (§8.3). */
function certificateDifferences(
  node: DerpNode,
  examined: ExaminedRelay,
  chain: readonly X509Certificate[],
  certificate: CertificateInfo,
): Difference[] {
  const { CertName = '', HostName, InsecureForTests } = node;
  const right = formatPin(certificate.pinSha256);
  const hasPin = CertName.startsWith(PIN_PREFIX);
  const found: Difference[] = [];
  if (InsecureForTests === true && (hasPin || CertName === '' || CertName === HostName)) {
    found.push({
      text: hasPin
        ? 'InsecureForTests is true, which has no effect with a pin'
        : 'InsecureForTests is true, so clients do not verify the certificate',
      fix: hasPin ? 'Remove InsecureForTests.' : `Remove it and set CertName to "${right}".`,
      isHarmless: true,
    });
    if (!hasPin) return found;
  }
  if (hasPin) return [...found, ...pinDifferences(node, chain, right)];
  if (certificate.selfSigned) {
    return [
      ...found,
      {
        text: 'CertName has no pin, but the certificate is self-signed, and clients refuse it',
        fix: `Set CertName to "${right}" in the map.`,
      },
    ];
  }
  // Clients check no name when HostName is an IP address and CertName is empty.
  const name = CertName === '' || CertName === HostName ? serverNameFor(HostName) : CertName;
  const problem = name === '' ? null : nameProblem(chain[0]!, name);
  if (problem === null) return found;
  return [
    ...found,
    {
      text: `clients need a certificate for ${name}, but it ${problem}`,
      fix: `Get a certificate for ${name}, or set HostName to ${advertisedNode(examined.config, certificate).HostName}.`,
    },
  ];
}

function pinDifferences(
  { CertName = '', HostName }: DerpNode,
  chain: readonly X509Certificate[],
  right: string,
): Difference[] {
  const found: Difference[] = [];
  if (CertName !== right) {
    const isSpelling = parsePin(CertName) === parsePin(right);
    const text = isSpelling
      ? 'the pin in CertName must be in lower case; clients compare it exactly'
      : `the pin in CertName (${CertName}) is not the pin of the certificate in use`;
    found.push({ text, fix: `Set CertName to "${right}" in the map.` });
  }
  if (chain.length > 1) {
    found.push({
      text: `a pin allows one certificate, and the relay serves ${chain.length}: clients refuse it`,
      fix: 'Serve only the first one, or remove the pin from CertName.',
    });
  }
  const name = serverNameFor(HostName);
  const problem = name === '' ? null : nameProblem(chain[0]!, name);
  if (problem !== null) {
    found.push({
      text: `clients ask for ${name}, but the certificate ${problem}; a pin does not change that`,
      fix: `Make a certificate with ${name} as subject alternative name and set CertName to its pin, or set HostName to the address of the relay.`,
    });
  }
  return found;
}
