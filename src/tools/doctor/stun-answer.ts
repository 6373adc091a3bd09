import { networkInterfaces } from 'node:os';
import type { StepName, StepResult } from '../probe/step.ts';
import { canonicalIp, formatHostPort, isLoopback } from '../../base/ip-address.ts';
import { isPublicIp } from '../../base/public-ip.ts';

/** Names of network interfaces of containers and virtual machines. */
const BRIDGE = /^(?:docker|br-|podman|cni|virbr|lxcbr|lxdbr|cbr)/;

/** The addresses of this machine, each with its interface. */
export type OwnAddresses = ReadonlyMap<string, string>;

/** Returns the addresses of all network interfaces, in canonical form. */
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
  if (!isLocal && isPublicIp(mappedIp))
    return { ...result, text: `${asked} answers: this machine is ${String(mapped)}` };
  if (!isLocal && !isPublicIp(ip)) return result;
  return {
    ...result,
    status: isLocal ? 'warning' : 'failed',
    text: `${asked} sees this machine as ${String(mapped)}, a private address${isBridge ? ' of a container bridge' : ''}`,
    fix:
      'Something in front of the relay (the userland proxy of Docker, a UDP load balancer) hides the source address of datagrams, so clients get a wrong address: ' +
      `run the relay in the network of the host, or run "towpath probe" on another machine and check that it shows that machine's address.`,
  };
}
