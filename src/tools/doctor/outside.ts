import { probeRelay } from '../probe/probe.ts';
import type { StepResult } from '../probe/step.ts';
import { targetOfUrl, targetsOfMap, type ProbeTarget } from '../probe/target.ts';
import { TowpathError } from '../../base/errors.ts';
import { DEFAULT_DERP_PORT, type DerpMap } from '../../derp-map/derp-map.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { formatNodeKey } from '../../wire/keys.ts';
import { check, type Check } from './check.ts';
import { findNode } from './derp-map.ts';
import type { ExaminedRelay, Findings } from './examined-relay.ts';
import { inspectPort } from './inspect-port.ts';
import { fixInFront } from './proxy.ts';
import { advertisedNode, isKnownHost } from './setup.ts';
import { checkStunAnswer, ownAddresses, type OwnAddresses } from './stun-answer.ts';

const PACKETS = 5;
/** Error codes of a refusal by admission: the relay closes before ServerInfo; with a fast start only the close is seen. */
const REFUSED: ReadonlySet<unknown> = new Set(['TOWPATH_CLIENT_REFUSED', 'TOWPATH_CLIENT_UPGRADE']);

/** The relay as clients reach it: from the map, from the given URLs, or else from its own entry for a map. */
export function outsideTargets(examined: ExaminedRelay, { served }: Findings): ProbeTarget[] {
  const { map, outside, config } = examined;
  const certificate = served ?? examined.stored?.info ?? null;
  const targets: ProbeTarget[] = [];
  const node = map === null ? null : findNode(map, examined);
  if (map !== null && node !== null) {
    targets.push(...targetsOfMap(map, String(node.RegionID), {}).filter(({ name }) => name === node.Name));
  }
  const stunPort = config.stun.advertisedPort ?? config.stun.listen[0]?.port ?? -1;
  const verify =
    certificate?.selfSigned === true ? { verify: { kind: 'pin', sha256: certificate.pinSha256 } as const } : {};
  for (const url of outside) targets.push(targetOfUrl(url, { ...verify, stunPort }));
  if (targets.length > 0 || !isKnownHost(config)) return targets;
  // With a proxy in front, derpPort is the only setting with the public port.
  if (config.transport === 'plain') {
    const host = config.hostname ?? config.publicIp[0];
    if (host === undefined) return [];
    return [targetOfUrl(`https://${formatHostPort(host, config.derpPort ?? DEFAULT_DERP_PORT)}/derp`, { stunPort })];
  }
  if (certificate === null) return [];
  const own = advertisedNode(config, certificate);
  const region = { RegionID: own.RegionID, RegionCode: '', RegionName: '', Nodes: [own] };
  const advertised: DerpMap = { Regions: { [own.RegionID]: region } };
  return targetsOfMap(advertised, null, {});
}

/** Checks the relay as a client sees it. */
export async function outsideChecks(examined: ExaminedRelay, target: ProbeTarget): Promise<Check[]> {
  const { transport, clock, timeoutMs } = examined;
  const results = await probeRelay(target, {
    transport,
    clock,
    timeoutMs,
    packets: PACKETS,
    websocket: false,
    keys: null,
  });
  const own = ownAddresses();
  const frontPort = target.relay?.port ?? DEFAULT_DERP_PORT;
  const checks = results.map((result) => reword(result, examined, frontPort, own));
  const reached = results.find(({ step, status }) => step.startsWith('tcp-') && status === 'ok');
  const { ip, port } = reached?.details ?? {};
  if (typeof ip !== 'string' || typeof port !== 'number' || target.relay?.secure !== true) return checks;
  return [...checks, await keyCheck(examined, target, ip, port)];
}

function reword(result: StepResult, examined: ExaminedRelay, port: number, own: OwnAddresses): Check {
  const { step, status, details } = result;
  if (REFUSED.has(details['code']) && !isOpen(examined)) {
    return { ...result, status: 'ok', text: 'admission refuses an unknown key, as it should', fix: null };
  }
  const inFront = examined.config.transport === 'plain' && status === 'failed' ? fixInFront(step, port) : null;
  if (inFront !== null) return { ...result, fix: inFront };
  if ((step === 'tcp-ipv4' || step === 'tcp-ipv6') && (status === 'failed' || status === 'warning')) {
    return {
      ...result,
      fix: `${result.fix ?? ''} Some routers do not let a machine connect to its own public address. If so, run "towpath probe" from another network.`.trim(),
    };
  }
  return step === 'stun-ipv4' || step === 'stun-ipv6' ? checkStunAnswer(result, own) : result;
}

function isOpen({ config }: ExaminedRelay): boolean {
  const { open, sources } = config.admission;
  return open || sources.length === 0;
}

/** Whether this relay answers at the address that clients use. */
async function keyCheck(examined: ExaminedRelay, target: ProbeTarget, ip: string, port: number): Promise<Check> {
  const { publicKey } = examined;
  if (publicKey === null) return check('served-key', 'skipped', 'the key file cannot be read');
  try {
    const { isRelay, serverKey } = await inspectPort({ ...examined, ip, port, host: target.host, secure: true });
    if (serverKey?.equals(publicKey) === true) return check('served-key', 'ok', 'this relay answers');
    if (isRelay && serverKey === null) {
      return check(
        'served-key',
        'skipped',
        'a proxy does TLS, and the relay does not admit the doctor, so its key is not known',
      );
    }
    const who = serverKey === null ? 'a program that is not a relay' : `another relay (${formatNodeKey(serverKey)})`;
    return check('served-key', 'failed', `${who} answers there`, {
      fix: 'The name or address leads to another machine or program: correct DNS, the map or the port forwarding. Or the key file is not that of the running relay.',
    });
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    return check('served-key', 'skipped', 'no TLS');
  }
}
