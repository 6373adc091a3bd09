import { networkInterfaces } from 'node:os';
import type { StepName, StepResult } from '../probe/step.ts';
import { canonicalIp, formatHostPort, ipFamily, isLoopback, parseIp } from '../../base/ip-address.ts';

/** Names of network interfaces of containers and virtual machines. */
const BRIDGE = /^(?:docker|br-|podman|cni|virbr|lxcbr|lxdbr|cbr)/;

/** The addresses of this machine, each with its interface. */
export type OwnAddresses = ReadonlyMap<string, string>;

export function ownAddresses(): OwnAddresses {
  const entries = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.map(({ address }) => [canonicalIp(address), name] as const),
  );
  return new Map(entries);
}

/**
 * Checks the address in a STUN answer to this machine. A container bridge or a UDP proxy in front of the relay replaces
 * the address of the client with its own; the answer is then wrong for every client.
 */
export function checkStunAnswer<N extends StepName>(result: StepResult<N>, own: OwnAddresses): StepResult<N> {
  const { ip, port, mapped, mappedIp, answeredFrom } = result.details;
  if (typeof ip !== 'string' || typeof port !== 'number' || typeof mappedIp !== 'string') return result;
  const asked = formatHostPort(ip, port);
  if (answeredFrom !== asked) {
    return {
      ...result,
      status: 'failed',
      text: `the answer of ${asked} comes from another address, ${String(answeredFrom)}`,
      fix: 'Clients behind NAT do not receive such an answer: set stun.listen to the public address, or fix the port mapping.',
    };
  }
  const isBridge = BRIDGE.test(own.get(mappedIp) ?? '');
  if (mappedIp === ip || (own.has(mappedIp) && !isBridge)) return { ...result, text: `${asked} answers` };
  // From this machine itself, the address that others get is not certain.
  const isLocal = isLoopback(ip) || own.has(ip);
  if (!isLocal && !isPrivate(mappedIp))
    return { ...result, text: `${asked} answers: this machine is ${String(mapped)}` };
  if (!isLocal && isPrivate(ip)) return result;
  return {
    ...result,
    status: isLocal ? 'warning' : 'failed',
    text: `${asked} sees this machine as ${String(mapped)}, a private address${isBridge ? ' of a container bridge' : ''}`,
    fix:
      'Something in front of the relay (the userland proxy of Docker, a UDP load balancer) hides the source address of datagrams, so clients get a wrong address: ' +
      `run the relay in the network of the host, or run "towpath probe" on another machine and check that it shows that machine's address.`,
  };
}

/** Whether the address is not public (RFC 1918, RFC 6598, ULA, link-local, loopback). */
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
