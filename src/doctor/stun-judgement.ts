import { networkInterfaces } from 'node:os';
import type { StepName, StepResult } from '../client/probe/step.ts';
import { canonicalIp, formatHostPort, ipFamily, isLoopback, parseIp } from '../wire/ip-address.ts';

/** Interfaces behind which containers and virtual machines sit. */
const BRIDGE = /^(?:docker|br-|podman|cni|virbr|lxcbr|lxdbr|cbr)/;

/** An address of this machine, and the interface that has it. */
export type OwnAddresses = ReadonlyMap<string, string>;

export function ownAddresses(): OwnAddresses {
  const entries = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.map(({ address }) => [canonicalIp(address), name] as const),
  );
  return new Map(entries);
}

/**
 * Judges what STUN told this machine of its own address. An answer is of use to clients only when it has
 * the address that the world sees, which a bridge or a proxy for UDP replaces by its own.
 */
export function judgeStun<N extends StepName>(result: StepResult<N>, own: OwnAddresses): StepResult<N> {
  const { ip, port, mapped, mappedIp, answeredFrom } = result.details;
  if (typeof ip !== 'string' || typeof port !== 'number' || typeof mappedIp !== 'string') return result;
  const asked = formatHostPort(ip, port);
  if (answeredFrom !== asked) {
    return {
      ...result,
      status: 'failed',
      text: `the answer of ${asked} comes from ${String(answeredFrom)}`,
      fix: 'Clients behind NAT never see such an answer: set stun.listen to the public address itself, or mend the port mapping.',
    };
  }
  const isBridge = BRIDGE.test(own.get(mappedIp) ?? '');
  if (mappedIp === ip || (own.has(mappedIp) && !isBridge)) return { ...result, text: `${asked} answers` };
  // From an address of this machine one can only guess what others are told.
  const isLocal = isLoopback(ip) || own.has(ip);
  if (!isLocal && !isPrivate(mappedIp))
    return { ...result, text: `${asked} answers: this machine is ${String(mapped)}` };
  if (!isLocal && isPrivate(ip)) return result;
  return {
    ...result,
    status: isLocal ? 'warning' : 'failed',
    text: `${asked} takes this machine for ${String(mapped)}, a private address${isBridge ? ' of a bridge for containers' : ''}`,
    fix:
      'Something between (Docker with its userland proxy, a UDP load balancer) hides where datagrams come from, and clients are told wrong addresses: ' +
      `run the relay with the network of the host, or check from another machine that "towpath probe" shows that machine's own address.`,
  };
}

/** Whether the address means nothing on the internet (RFC 1918, RFC 6598, ULA, link-local, loopback). */
export function isPrivate(ip: string): boolean {
  const bytes = parseIp(ip);
  if (bytes === null) return false;
  const [first = 0, second = 0] = bytes;
  if (ipFamily(ip) === 6)
    return ip === '::1' || (first & 0xfe) === 0xfc || (first === 0xfe && (second & 0xc0) === 0x80);
  return (
    first === 10 ||
    first === 127 ||
    (first === 172 && second >= 16 && second < 32) ||
    (first === 192 && second === 168) ||
    (first === 169 && second === 254) ||
    (first === 100 && second >= 64 && second < 128)
  );
}
