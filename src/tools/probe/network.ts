import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import type { StreamHandler, Transport } from '../../transport/port.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import { runStep, skipped, type StepResult } from './step.ts';
import type { FamilyAddress, ProbeTarget } from './target.ts';

/** The addresses of a target; null where a family is not used. */
export interface Addresses {
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

/** Errors which mean that this machine does not have the family. */
const NO_ROUTE = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

const IGNORE: StreamHandler = { bytes: () => undefined, writable: () => undefined, closed: () => undefined };

/** Looks up the addresses that neither the URL nor the map gives. */
export async function dnsStep(
  target: ProbeTarget,
  timeoutMs: number,
): Promise<{ result: StepResult; addresses: Addresses }> {
  const { host, ipv4, ipv6 } = target;
  if (ipv4.kind !== 'dns' && ipv6.kind !== 'dns') {
    return { result: skipped('dns', 'not needed: the addresses are given'), addresses: fixed(ipv4, ipv6, []) };
  }
  let addresses = fixed(ipv4, ipv6, []);
  const result = await runStep(
    'dns',
    async () => {
      const found = await withTimeout(lookUp(host), timeoutMs, `no answer for the name ${host}`);
      addresses = fixed(ipv4, ipv6, found);
      const used = found.map(({ address }) => address);
      return { text: `${host} is ${used.join(', ')}`, details: { addresses: used } };
    },
    () => `Check the spelling of ${host}, and check that it has an A or AAAA record that this machine can look up.`,
  );
  const given = addresses.ipv4 ?? addresses.ipv6;
  if (result.status !== 'failed' || given === null) return { result, addresses };
  // Clients use the address in the map, and need the name only for the other family.
  const other = ipv4.kind === 'dns' ? 'IPv4' : 'IPv6';
  const fix = `Clients that cannot look it up use ${given}. Add a record for the name, or set ${other} in the map to an address or to "none".`;
  return { result: { ...result, status: 'warning', fix }, addresses };
}

/** Bun's errors do not name what was looked up. */
async function lookUp(host: string): Promise<LookupAddress[]> {
  try {
    return await lookup(host, { all: true });
  } catch (error) {
    if (errorMessage(error).includes(host)) throw error;
    throw Object.assign(new Error(`${errorMessage(error)} ${host}`, { cause: error }), {
      code: systemErrorCode(error),
    });
  }
}

function fixed(
  ipv4: FamilyAddress,
  ipv6: FamilyAddress,
  found: readonly { address: string; family: number }[],
): Addresses {
  const pick = (address: FamilyAddress, family: number): string | null => {
    if (address.kind === 'ip') return address.ip;
    return address.kind === 'off' ? null : (found.find((entry) => entry.family === family)?.address ?? null);
  };
  return { ipv4: pick(ipv4, 4), ipv6: pick(ipv6, 6) };
}

/** Opens and closes a TCP connection. */
export async function tcpStep(
  transport: Transport,
  step: 'tcp-ipv4' | 'tcp-ipv6',
  ip: string | null,
  port: number,
  timeoutMs: number,
): Promise<StepResult> {
  const family = step === 'tcp-ipv4' ? 'IPv4' : 'IPv6';
  if (ip === null) return skipped(step, `no ${family} address`);
  const where = formatHostPort(ip, port);
  return runStep(
    step,
    async () => {
      try {
        const { stream, times } = await transport.connect({ host: ip, port, tls: null, timeoutMs }, IGNORE);
        stream.abort();
        return { text: `${where} accepts connections`, ms: times.tcpMs, details: { ip, port } };
      } catch (error) {
        if (!lacksRoute(error)) throw error;
        return { status: 'skipped', text: `this machine has no ${family} route to ${ip}` };
      }
    },
    (error) => tcpFix(error, port),
  );
}

function lacksRoute(error: unknown): boolean {
  return error instanceof TowpathError && NO_ROUTE.has(systemErrorCode(error.cause));
}

function tcpFix(error: unknown, port: number): string {
  const refused = error instanceof TowpathError && systemErrorCode(error.cause) === 'ECONNREFUSED';
  return refused
    ? `No program listens there: start the relay on TCP port ${port}, or forward the port to it.`
    : `Open TCP port ${port} in every firewall on the path, including the cloud provider's.`;
}

/** Rejects with `what` when `promise` is not settled in time. */
export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new TowpathError('TOWPATH_PROBE_TIMEOUT', `${what} within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
