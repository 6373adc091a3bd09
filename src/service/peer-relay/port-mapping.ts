import { PrefixSet } from '../../base/ip-prefix.ts';
import {
  decodePortMappingAnswer,
  encodePcpMap,
  encodePmpAddress,
  encodePmpMap,
  PCP_PORT,
  type PortMappingAnswer,
} from '../../wire/pcp.ts';
import type { ReachedAddress } from './reached-address.ts';
import { askRouter, type RouterDialogParts } from './router-dialog.ts';
import { mapByUpnp } from './upnp.ts';

/** Requested lifetime. Routers may give less. The mapping outlives a restart of the relay. */
const LIFETIME_SECONDS = 7200;
const NOT_PUBLIC = new PrefixSet([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
]);

export interface PortMappingParts extends RouterDialogParts {
  readonly ports: readonly number[];
  /** The 12 bytes that tie the mapping of a port to this relay: the same after a restart. */
  readonly nonceOf: (port: number) => Buffer;
}

/** The mapping that a router made. */
export interface PortMapping {
  readonly how: 'PCP' | 'NAT-PMP' | 'UPnP';
  readonly addresses: readonly ReachedAddress[];
  /** Why the router does not forward one of the ports; null: it forwards all. */
  readonly problem: string | null;
}

/**
 * Asks the router to forward UDP ports to this machine: by PCP, else by NAT-PMP, else by UPnP. Rejects with an Error
 * that says why none of them did.
 */
export async function mapPorts(parts: PortMappingParts): Promise<PortMapping> {
  const mapping = (await byPcp(parts)) ?? (await byNatPmp(parts)) ?? (await byUpnp(parts));
  const inside = mapping.addresses.find(({ ip }) => NOT_PUBLIC.has(ip));
  if (inside === undefined) return mapping;
  throw new Error(
    `the router forwards the ports, but its own address ${inside.ip} is not public: there is another NAT`,
  );
}

type Mapped = Extract<PortMappingAnswer, { kind: 'mapped' }>;

/** Maps the ports by PCP. Null: the router does not speak PCP. */
async function byPcp(parts: PortMappingParts): Promise<PortMapping | null> {
  const { gateway, nonceOf, ports } = parts;
  const nonces = new Map(ports.map((port) => [port, nonceOf(port)]));
  const mapped = new Map<number, Mapped>();
  const { isOther, refusal } = await ask(
    parts,
    () =>
      ports
        .filter((port) => !mapped.has(port))
        .map((port) => encodePcpMap(gateway.localIp, nonces.get(port)!, port, port, LIFETIME_SECONDS)),
    (answer) => {
      if (answer.kind !== 'mapped' || answer.ip === null) return false;
      if (answer.nonce === null || nonces.get(answer.internalPort)?.equals(answer.nonce) !== true) return false;
      mapped.set(answer.internalPort, answer);
      return mapped.size === ports.length;
    },
  );
  if (mapped.size > 0)
    return { how: 'PCP', addresses: reached(mapped, null), problem: missing(ports, mapped, refusal) };
  if (refusal !== null && !isOther) throw new Error(`the router refuses by PCP: ${refusal}`);
  return null;
}

/** Maps the ports by NAT-PMP. Null: the router does not speak NAT-PMP. */
async function byNatPmp(parts: PortMappingParts): Promise<PortMapping | null> {
  const { ports } = parts;
  const mapped = new Map<number, Mapped>();
  const router: { ip: string | null } = { ip: null };
  const { isOther, refusal } = await ask(
    parts,
    () => [
      ...(router.ip === null ? [encodePmpAddress()] : []),
      ...ports.filter((port) => !mapped.has(port)).map((port) => encodePmpMap(port, port, LIFETIME_SECONDS)),
    ],
    (answer) => {
      if (answer.kind === 'address') router.ip = answer.ip;
      if (answer.kind === 'mapped' && answer.nonce === null && ports.includes(answer.internalPort))
        mapped.set(answer.internalPort, answer);
      return router.ip !== null && mapped.size === ports.length;
    },
  );
  if (router.ip !== null && mapped.size > 0)
    return { how: 'NAT-PMP', addresses: reached(mapped, router.ip), problem: missing(ports, mapped, refusal) };
  if (refusal !== null && !isOther) throw new Error(`the router refuses by NAT-PMP: ${refusal}`);
  return null;
}

async function byUpnp(parts: PortMappingParts): Promise<PortMapping> {
  const mapping = await mapByUpnp(parts, parts.ports, LIFETIME_SECONDS);
  if (mapping === null)
    throw new Error(
      `the router ${parts.gateway.ip} answers neither PCP nor NAT-PMP nor UPnP; forward the UDP ports by hand`,
    );
  return { how: 'UPnP', ...mapping };
}

/** Sends requests until `take` returns true, the router uses another version or refuses, or no answer comes. */
async function ask(
  parts: PortMappingParts,
  requests: () => readonly Buffer[],
  take: (answer: PortMappingAnswer) => boolean,
): Promise<{ isOther: boolean; refusal: string | null }> {
  let isComplete = false;
  let isOther = false;
  let refusal: string | null = null;
  await askRouter(
    parts,
    () => requests().map((bytes) => ({ bytes, ip: parts.gateway.ip, port: PCP_PORT })),
    (bytes, from, to) => {
      const answer = decodePortMappingAnswer(bytes, from, to);
      if (answer === null) return;
      if (answer.kind === 'version') isOther = true;
      else if (answer.kind === 'refused') refusal = answer.reason;
      else isComplete = take(answer);
    },
    () => isComplete || isOther || refusal !== null,
  );
  return { isOther, refusal };
}

/** Returns which ports are not mapped and why, or null. */
function missing(ports: readonly number[], mapped: ReadonlyMap<number, Mapped>, refusal: string | null): string | null {
  const others = ports.filter((port) => !mapped.has(port));
  return others.length === 0
    ? null
    : `the router does not forward port ${others.join(' or ')}: ${refusal ?? 'no answer'}`;
}

function reached(mapped: ReadonlyMap<number, Mapped>, ip: string | null): ReachedAddress[] {
  return [...mapped].map(([localPort, answer]) => ({ localPort, ip: answer.ip ?? ip ?? '', port: answer.port }));
}
