import { errorMessage, TowpathError } from '../../base/errors.ts';
import { canonicalIp, formatHostPort } from '../../base/ip-address.ts';
import { VERSION } from '../../base/version.ts';
import type { DerpMap } from '../../derp-map/derp-map.ts';
import { findTargets, systemResolver, type Target } from '../../relay/mesh/addresses.ts';
import { MESH_APP, meshSettings } from '../../service/mesh/settings.ts';
import { generateNodeKeyPair } from '../../wire/keys.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay } from './examined-relay.ts';
import { localIp } from './listeners.ts';
import { clockSkew, connectAsRelay, viewSibling, type SiblingView } from './sibling.ts';

/** From this difference on, clocks make certificates fail and logs hard to compare. */
const SKEW_SECONDS = 10;

/** One relay that answered. */
interface Seen {
  readonly target: Target;
  readonly view: SiblingView;
}

/** Checks the other relays of the region from this machine, with the connections that the relay itself makes. */
export async function meshChecks(examined: ExaminedRelay): Promise<Check[]> {
  let settings: ReturnType<typeof meshSettings>;
  try {
    settings = meshSettings(examined.config.mesh, process.env);
  } catch (error) {
    return [failed(error)];
  }
  const keys = settings.keys.map((key) => Buffer.from(key));
  const checks: Check[] = [];
  const seen: Seen[] = [];
  for (const entry of settings.with) {
    try {
      const { targets, unused } = await findTargets(entry, settings.caPem, systemResolver);
      if (unused !== '') {
        checks.push(check('mesh', 'warning', `${entry.name}: ${unused}`, { fix: 'Correct the name in DNS.' }));
      }
      for (const target of targets) checks.push(...(await siblingChecks(target, keys, examined, seen)));
    } catch (error) {
      const text = `${entry.name} is not found: ${errorMessage(error)}`;
      checks.push(check('mesh', 'failed', text, { fix: 'Correct mesh.with, or add the name to DNS.' }));
    }
  }
  const others = seen.filter(({ view }) => !isSelf(view, examined));
  const own = await ownView(keys[0]!, examined);
  return [...checks, ...linkChecks(others, own, examined), ...mapChecks(others, examined)];
}

async function siblingChecks(
  target: Target,
  keys: readonly Buffer[],
  examined: ExaminedRelay,
  seen: Seen[],
): Promise<Check[]> {
  const name = nameOf(target);
  let view: SiblingView | null = null;
  for (const [i, key] of keys.entries()) {
    try {
      view = await viewSibling(target, key, examined);
    } catch (error) {
      const isKey = error instanceof TowpathError && error.code === 'TOWPATH_CLIENT_REFUSED';
      if (!isKey) return [failed(error, name)];
    }
    if (view === null) continue;
    seen.push({ target, view });
    if (isSelf(view, examined)) return [await selfCheck(target, key, examined)];
    const text = `${name} answers in ${view.roundTripMs.toFixed(1)} ms`;
    const answer =
      i === 0
        ? check('mesh', 'ok', `${text} and accepts the mesh key`)
        : check('mesh', 'warning', `${text}, but accepts only the second mesh key`, {
            fix: 'Add the first key of this relay to its mesh key file.',
          });
    return [answer, ...(await clockChecks(target, examined))];
  }
  return [
    check('mesh', 'failed', `${name} does not accept our mesh key`, {
      fix: 'Give all relays of the region the same mesh key, and check that mesh is configured there.',
    }),
  ];
}

/**
 * Checks whether a relay that has our node key is this relay: then a connection to it is seen here. Two relays with one key,
 * for example of a copied machine, take each other for themselves and never link.
 */
async function selfCheck(target: Target, meshKey: Buffer, examined: ExaminedRelay): Promise<Check> {
  const name = nameOf(target);
  const itself = check('mesh', 'ok', `${name} is this relay itself`);
  const client = await connectAsRelay(target, meshKey, examined, generateNodeKeyPair(), {}).catch(() => null);
  if (client === null) return itself;
  try {
    const own = await ownView(meshKey, examined);
    if (own === null || own.linked.has(client.publicKey.toString('hex'))) return itself;
    return check('mesh', 'failed', `${name} is another relay with the node key of this one, so they do not link`, {
      fix: 'Stop it, remove its private key (keyFile), and start it: it makes a key of its own.',
    });
  } finally {
    client.abort();
  }
}

async function clockChecks(target: Target, examined: ExaminedRelay): Promise<Check[]> {
  const skew = await clockSkew(target, examined).catch(() => null);
  if (skew === null || Math.abs(skew) < SKEW_SECONDS) return [];
  const size = Math.round(Math.abs(skew));
  const text = `our clock is ${size} s ${skew > 0 ? 'ahead of' : 'behind'} the clock of ${nameOf(target)}`;
  const fix = 'Correct the clocks, and run a time service (systemd-timesyncd, chrony) on each machine.';
  return [check('mesh-clock', 'warning', text, { fix, details: { skewSeconds: skew } })];
}

/** Checks which relays are linked to each other, and their versions. */
function linkChecks(others: readonly Seen[], own: SiblingView | null, examined: ExaminedRelay): Check[] {
  const ourKey = examined.publicKey?.toString('hex') ?? '';
  const checks: Check[] = [];
  for (const { target, view } of others) {
    const key = view.serverKey.toString('hex');
    if (own !== null && !view.linked.has(ourKey)) {
      checks.push(
        check('mesh-link', 'failed', `this relay runs, but is not linked to ${nameOf(target)}`, {
          fix: 'Its log says why. Was the relay started with this configuration?',
        }),
      );
    }
    if (own !== null && !own.linked.has(key)) {
      checks.push(
        check('mesh-link', 'failed', `${nameOf(target)} is not linked to this relay`, {
          fix: 'Add this relay to mesh.with there: every relay of a region links to every other one.',
        }),
      );
    }
    for (const { target: third, view: thirdView } of others) {
      if (thirdView === view || view.linked.has(thirdView.serverKey.toString('hex'))) continue;
      checks.push(
        check('mesh-link', 'failed', `${nameOf(third)} is not linked to ${nameOf(target)}`, {
          fix: 'Add it to mesh.with there: every relay of a region links to every other one.',
        }),
      );
    }
    const app = [own, ...others.map((other) => other.view)].map((each) => each?.linked.get(key)).find(Boolean) ?? '';
    if (app !== '' && app !== MESH_APP) {
      const text = `${nameOf(target)} runs ${app}, this is ${MESH_APP}`;
      checks.push(
        check('mesh-version', 'warning', text, { fix: `Upgrade the older one; this is version ${VERSION}.` }),
      );
    }
  }
  return checks;
}

/** Checks that the DERP map has every relay of the region. */
function mapChecks(others: readonly Seen[], { map, config }: ExaminedRelay): Check[] {
  if (map === null) return [];
  const nodes = regionNodes(map, config.region.id);
  const listed = new Set(
    nodes
      .flatMap(({ HostName, IPv4 = '', IPv6 = '' }) => [HostName.toLowerCase(), canonicalIp(IPv4), canonicalIp(IPv6)])
      .filter((text) => text !== ''),
  );
  const missing = others.filter(({ target }) => !listed.has(target.serverName) && !listed.has(target.ip));
  const relays = new Set(others.map(({ view }) => view.serverKey.toString('hex'))).size + 1;
  // A relay may have another address inside the network than for clients.
  if (missing.length === 0 || nodes.length >= relays) return [];
  const names = missing.map(({ target }) => nameOf(target)).join(', ');
  return [
    check(
      'mesh-map',
      'failed',
      `region ${config.region.id} of the map has ${nodes.length} of ${relays} relays: ${names} may be missing`,
      {
        fix: 'Add a node for each relay to the region in the DERP map (docs/region.md).',
      },
    ),
  ];
}

function regionNodes(map: DerpMap, id: number): DerpMap['Regions'][string]['Nodes'] {
  return Object.values(map.Regions).find(({ RegionID }) => RegionID === id)?.Nodes ?? [];
}

/** Reads the view of this relay itself; null when it does not run. */
async function ownView(meshKey: Buffer, examined: ExaminedRelay): Promise<SiblingView | null> {
  const { config, local } = examined;
  const address = config.listen[0]!;
  const ip = localIp(address);
  const isSecure = config.transport === 'tls';
  const target: Target = {
    name: 'this relay',
    address: formatHostPort(ip, address.port),
    url: `${isSecure ? 'https' : 'http'}://${formatHostPort(ip, address.port)}/derp`,
    ip,
    serverName: config.hostname ?? '',
    verify: { kind: 'none' },
  };
  try {
    return await viewSibling(target, meshKey, { ...examined, transport: local });
  } catch {
    // The port checks report the reason.
    return null;
  }
}

function isSelf({ serverKey }: SiblingView, { publicKey }: ExaminedRelay): boolean {
  return publicKey !== null && serverKey.equals(publicKey);
}

function nameOf({ name, address }: Target): string {
  return name === address ? name : `${name} (${address})`;
}

function failed(error: unknown, name = ''): Check {
  const hint = error instanceof TowpathError ? error.hint : undefined;
  const fix = hint ?? 'Start that relay, and check its address and port and the firewalls between.';
  return check('mesh', 'failed', name === '' ? errorMessage(error) : `${name}: ${errorMessage(error)}`, { fix });
}
