import { z } from 'zod';
import { PrefixSet } from '../../base/ip-prefix.ts';
import { describeFound } from '../problems.ts';
import { key, optionalKey, section } from './fields.ts';
import { entryJsonSchema, pathFieldsOf, readEntry } from './list-entries.ts';
import { choice, filePath, hostNames, integer, text, texts, toggle, webAddress, type Value } from './values.ts';

/** A tailnet in which the relay is a node. */
export interface TailnetConfig {
  /** Names the tailnet in logs, metrics and the names of files. */
  readonly name: string;
  readonly controlUrl: string;
  /** `env:NAME`. At most one of the two. Without both, a person logs in with a URL. */
  readonly authKey?: string | undefined;
  readonly authKeyFile?: string | undefined;
  readonly hostname: string;
  readonly tags: readonly string[];
  readonly capabilityVersion: number;
  readonly caFile?: string | undefined;
}

/** The limits of the peer relay. A rate of 0 means no limit. */
export interface PeerRelayLimitsConfig {
  readonly endpoints: number;
  readonly endpointsPerNode: number;
  readonly endpointsPerPair: number;
  readonly allocationsPerMinute: number;
  readonly bytesPerSecondPerNode: number;
  readonly totalBytesPerSecond: number;
  readonly idleSeconds: number;
  readonly peers: number;
  readonly mapBytes: number;
}

/** The relay of UDP between clients. Without tailnets it is off. */
export interface PeerRelayConfig {
  readonly ports: readonly number[];
  readonly takenPorts: 'refuse' | 'skip';
  readonly advertise: {
    readonly addresses: readonly string[];
    readonly only: boolean;
    /** `HOST` or `HOST:PORT`. Empty: those of the tailnets' DERP maps. */
    readonly stunServers: readonly string[];
    readonly portMapping: 'auto' | 'on' | 'off';
  };
  readonly stateDirectory: string;
  readonly tailnets: readonly TailnetConfig[];
  readonly limits: PeerRelayLimitsConfig;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
/** The name of the file with the endpoints in the state directory, without its ending. */
export const ENDPOINTS_NAME = 'endpoints';
const HOST_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const TAG = /^tag:[A-Za-z0-9][A-Za-z0-9-]{0,62}$/;
const ENV_REFERENCE = /^env:[A-Za-z_][A-Za-z0-9_]*$/;
/** From 1 to 65535. */
const PORT = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
/** A DNS name, an IPv4 address or an IPv6 address in brackets, and a port if it is not 3478. */
const STUN_SERVER = new RegExp(`^(?:\\[[0-9A-Fa-f:.]{2,45}\\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252})(?::${PORT})?$`);
const MOST_TAILNETS = 16;
/** Most ports. Clients try all at once, so a longer list only costs packets (peer relay reference §8). */
const MOST_PORTS = 4;
/** Unspecified, multicast and reserved addresses: no machine can be reached at them. */
const NOT_OF_A_MACHINE = new PrefixSet(['0.0.0.0/8', '224.0.0.0/3', '::/128', 'ff00::/8']);
const DAY_SECONDS = 86_400;
/** Lowest capability version: clients ignore a relay with a lower one (peer relay reference §10.2). */
const LEAST_CAPABILITY = 121;
const ALLOWED = 'a list of tailnets, each with a name (docs/peer-relay.md)';

const tailnet: z.ZodType<TailnetConfig> = section(
  'A tailnet.',
  {
    name: optionalKey(
      text(NAME, 'up to 32 letters, digits and dashes'),
      'Name of the tailnet in logs, metrics and the names of files.',
    ),
    controlUrl: key(
      webAddress('https', 'http'),
      'https://controlplane.tailscale.com',
      'URL of the control server: Headscale, or that of Tailscale.',
    ),
    authKey: optionalKey(
      text(ENV_REFERENCE, 'env: and the name of an environment variable that holds it'),
      'Auth key of the tailnet, as env:NAME.',
      { secret: true },
    ),
    authKeyFile: optionalKey(filePath(), 'File with the auth key of the tailnet.'),
    hostname: key(
      text(HOST_LABEL, 'a name of up to 63 letters, digits and dashes'),
      'towpath',
      'Name of the node in the tailnet.',
    ),
    tags: key(texts(TAG, 'tags such as tag:relay'), [], 'Tags that the node asks for, if the auth key brings none.'),
    capabilityVersion: key(
      integer(LEAST_CAPABILITY, 143),
      131,
      'Capability version that the node claims. Raise it when a new control server refuses it.',
    ),
    caFile: optionalKey(filePath(), 'File with a certificate authority (PEM) that is trusted for the control server.'),
  },
  {
    check: (values, refuse) => {
      if (values.name === undefined) refuse('name', 'is missing');
      // NAME.json has the keys of the node, and some file systems ignore case.
      if (values.name?.toLowerCase() === ENDPOINTS_NAME)
        refuse('name', `found ${values.name}; allowed: another name, because the file of the endpoints has this one`);
      if (values.authKey !== undefined && values.authKeyFile !== undefined)
        refuse('authKeyFile', 'cannot be used together with authKey');
      const { pathname, search, hash } = new URL(values.controlUrl);
      if (pathname !== '/' || search !== '' || hash !== '')
        refuse(
          'controlUrl',
          `found ${values.controlUrl}; allowed: a URL without a path: the control protocol has its own`,
        );
    },
    complete: (values): TailnetConfig => ({ ...values, name: values.name ?? '' }),
  },
);

const limits: z.ZodType<PeerRelayLimitsConfig> = section(
  'Limits of the peer relay. A request beyond them gets no answer, a datagram is dropped; both are counted.',
  {
    endpoints: key(integer(1, 65_536), 10_000, 'Largest number of endpoints: pairs of nodes that use the relay.'),
    endpointsPerNode: key(integer(1, 65_536), 256, 'Largest number of endpoints that one node may have asked for.'),
    endpointsPerPair: key(
      integer(1, 1024),
      4,
      'Largest number of endpoints between two nodes. A node that restarts needs a new one.',
    ),
    allocationsPerMinute: key(
      integer(1, 1_000_000),
      240,
      'Largest number of new endpoints per minute that one node may ask for.',
    ),
    bytesPerSecondPerNode: key(
      integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
      0,
      'Bytes per second that one node may send through the peer relay; 0 means no limit.',
    ),
    totalBytesPerSecond: key(
      integer(0, Number.MAX_SAFE_INTEGER, 'bytes'),
      0,
      'Bytes per second that all nodes together may send through the peer relay; 0 means no limit.',
    ),
    idleSeconds: key(
      integer(60, 30 * DAY_SECONDS, 'seconds'),
      3600,
      'Seconds that an endpoint stays open while one of its nodes is silent.',
    ),
    peers: key(integer(1, 1_000_000), 100_000, 'Largest number of nodes that the relay keeps of one tailnet.'),
    mapBytes: key(
      integer(65_536, 1_073_741_824, 'bytes'),
      67_108_864,
      'Longest message of a control server about the nodes of a tailnet, in bytes.',
    ),
  },
  { flags: false },
);

export const peerRelay: z.ZodType<PeerRelayConfig> = section(
  'The peer relay carries the UDP packets of nodes that find no direct path. It is off while there are no tailnets; see docs/peer-relay.md.',
  {
    ports: key(
      ports(),
      ['3478', '443', '40000'],
      'UDP ports of the peer relay, in the order in which clients are told of them. STUN may use the same.',
    ),
    takenPorts: key(
      choice('refuse', 'skip'),
      'refuse',
      'What to do when another program has one of the ports. refuse: do not start. skip: use the others.',
    ),
    advertise: section(
      'The addresses that clients are told.',
      {
        addresses: key(
          hostNames(),
          [],
          'IP addresses or DNS names at which clients reach the peer relay, before those that it finds itself.',
        ),
        only: key(toggle(), false, 'Tell clients only the addresses in `peerRelay.advertise.addresses`.'),
        portMapping: key(
          choice('auto', 'on', 'off'),
          'auto',
          'Whether to ask the router to forward the UDP ports (PCP, NAT-PMP, UPnP). auto: when the machine has no public IPv4 address and `peerRelay.advertise.addresses` is empty.',
        ),
        stunServers: key(
          texts(STUN_SERVER, 'STUN servers as HOST or HOST:PORT'),
          [],
          "STUN servers that tell the peer relay its public addresses; those of the tailnets' DERP maps by default.",
        ),
      },
      {
        check: ({ addresses, only }, refuse) => {
          const useless = addresses.find((address) => NOT_OF_A_MACHINE.has(address));
          if (useless !== undefined)
            refuse('addresses', `found ${useless}; allowed: addresses at which clients reach this relay`);
          if (only && addresses.length === 0) refuse('only', 'found true; allowed: false, because addresses is empty');
        },
      },
    ),
    stateDirectory: key(
      filePath(),
      '/var/lib/towpath/peer-relay',
      'Directory with the keys of the nodes, and for a short time with the endpoints, so that they live through a restart.',
    ),
    tailnets: key(
      tailnetList(),
      [],
      'Tailnets whose nodes may use the peer relay, each with name, controlUrl, authKey or authKeyFile, hostname and tags; see docs/peer-relay.md.',
      { flag: false },
    ),
    limits,
  },
);

/** A list of UDP ports, each once. */
function ports(): Value<number[]> {
  const { schema } = texts(/^(?:[1-9]\d{0,4}|0)$/, 'ports');
  const asNumbers = schema
    .transform((entries) => entries.map(Number))
    .refine((numbers) => numbers.every((port) => port <= 65_535) && numbers.length >= 1 && numbers.length <= MOST_PORTS)
    .refine((numbers) => new Set(numbers).size === numbers.length || numbers.every((port) => port === 0));
  return { schema: asNumbers, kind: 'list', allowed: `a list of 1 to ${MOST_PORTS} different ports from 1 to 65535` };
}

function tailnetList(): Value<TailnetConfig[]> {
  const schema = z.unknown().transform((input, context) => {
    const found: TailnetConfig[] = [];
    const names = new Set<string>();
    const refuse = (message: string, ...path: number[]): void => {
      context.addIssue({ code: 'custom', message, path, params: { combination: true } });
    };
    if (!Array.isArray(input)) {
      refuse(`found ${describeFound(input)}; allowed: ${ALLOWED}`);
      return [];
    }
    if (input.length > MOST_TAILNETS) refuse(`found ${input.length} tailnets; allowed: up to ${MOST_TAILNETS}`);
    for (const [i, entry] of (input as unknown[]).entries()) {
      if (typeof entry !== 'object' || entry === null) {
        refuse(`found ${describeFound(entry)}; allowed: ${ALLOWED}`, i);
        continue;
      }
      const read = readEntry(tailnet, entry, (message) => refuse(message, i));
      if (read === null) continue;
      // The name is part of file names, and some file systems ignore case.
      const name = read.name.toLowerCase();
      if (names.has(name)) refuse(`name: ${read.name} is taken; give this tailnet a name of its own`, i);
      names.add(name);
      found.push(read);
    }
    return found;
  });
  const items = entryJsonSchema(tailnet, ['name']);
  return {
    schema: schema.meta({ type: 'array', items }),
    kind: 'json',
    allowed: ALLOWED,
    pathFields: pathFieldsOf(tailnet),
  };
}
