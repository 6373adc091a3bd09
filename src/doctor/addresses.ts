import { lookup } from 'node:dns/promises';
import { withTimeout } from '../client/probe/network.ts';
import { stunStep } from '../client/probe/stun.ts';
import { errorMessage } from '../errors.ts';
import { canonicalIp, formatHostPort, ipFamily } from '../wire/ip-address.ts';
import { check, type Check } from './check.ts';
import type { Findings, Patient } from './patient.ts';
import { isPrivate, ownAddresses } from './stun-judgement.ts';

const FAMILIES = [4, 6] as const;

/** Whether name, configured addresses and this machine's own belong together. */
export async function addressChecks(patient: Patient, findings: Findings): Promise<Check[]> {
  const seen = await seenChecks(patient, findings);
  const { hostname, publicIp } = patient.config;
  if (hostname === undefined || ipFamily(hostname) !== 0) {
    const told = hostname === undefined ? publicIp : [hostname, ...publicIp];
    return [...seen, ...compareSeen(findings.seenIps, told.map(canonicalIp))];
  }
  const named = await nameCheck(patient, findings, hostname);
  return [...seen, ...named.checks, ...compareSeen(findings.seenIps, [...publicIp, ...named.ips])];
}

async function nameCheck(
  { config, timeoutMs }: Patient,
  { seenIps }: Findings,
  hostname: string,
): Promise<{ checks: Check[]; ips: string[] }> {
  let ips: string[];
  try {
    const found = await withTimeout(lookup(hostname, { all: true }), timeoutMs, `no answer for the name ${hostname}`);
    ips = found.map(({ address }) => canonicalIp(address));
  } catch (error) {
    const fix = `Check the spelling of hostname, and give ${hostname} an A or AAAA record that this machine can look up.`;
    return {
      checks: [check('names', 'failed', `${hostname} does not resolve: ${errorMessage(error)}`, { fix })],
      ips: [],
    };
  }
  return { checks: [compareName(hostname, ips, config.publicIp, seenIps)], ips };
}

/** A family that the configuration does not name is left to the DNS. */
function compareName(
  hostname: string,
  ips: readonly string[],
  publicIp: readonly string[],
  seen: readonly string[],
): Check {
  const details = { addresses: ips };
  const own = ownAddresses();
  const expected = [...publicIp, ...(publicIp.length === 0 ? seen : [])];
  for (const family of FAMILIES) {
    const [told, wanted] = [ofFamily(ips, family), ofFamily(expected, family)];
    if (told.length === 0 || wanted.length === 0 || told.some((ip) => wanted.includes(ip))) continue;
    const whose = publicIp.length === 0 ? 'this machine is seen as' : 'publicIp is';
    return check('names', 'failed', `${hostname} is ${told.join(', ')}, but ${whose} ${wanted.join(', ')}`, {
      fix: `Point the ${family === 4 ? 'A' : 'AAAA'} record of ${hostname} to ${wanted.join(', ')}, or correct ${publicIp.length === 0 ? 'hostname' : 'publicIp'}.`,
      details,
    });
  }
  const isKnown = expected.length > 0 || ips.some((ip) => own.has(ip));
  if (isKnown) return check('names', 'ok', `${hostname} is ${ips.join(', ')}`, { details });
  return check('names', 'warning', `${hostname} is ${ips.join(', ')}, which is no address of this machine`, {
    fix: 'That is right behind NAT or a load balancer: then set publicIp. Otherwise point the name to this machine.',
    details,
  });
}

/** Asks a STUN server elsewhere how it sees this machine. */
async function seenChecks(patient: Patient, findings: Findings): Promise<Check[]> {
  const { stunServer, transport, timeoutMs } = patient;
  if (stunServer === null) {
    return [check('public-address', 'skipped', 'not asked; --stun-server HOST:PORT asks a STUN server elsewhere')];
  }
  const { host, port } = stunServer;
  let servers: string[];
  try {
    const found = await withTimeout(lookup(host, { all: true }), timeoutMs, `no answer for the name ${host}`);
    servers = found.map(({ address }) => canonicalIp(address));
  } catch (error) {
    return [
      check('public-address', 'failed', `the STUN server ${host} does not resolve: ${errorMessage(error)}`, {
        fix: 'Give another one with --stun-server.',
      }),
    ];
  }
  const answers = await Promise.all(
    FAMILIES.map((family) =>
      stunStep(
        transport,
        family === 4 ? 'stun-ipv4' : 'stun-ipv6',
        ofFamily(servers, family)[0] ?? null,
        port,
        timeoutMs,
      ),
    ),
  );
  for (const { details } of answers)
    if (typeof details['mappedIp'] === 'string') findings.seenIps.push(details['mappedIp']);
  if (findings.seenIps.length > 0) return [];
  return [
    check('public-address', 'warning', `no answer from the STUN server ${formatHostPort(host, port)}`, {
      fix: 'UDP out of this machine may be blocked, or the server is of no use; try another one with --stun-server.',
    }),
  ];
}

/** Whether clients are told the address that the world sees. */
function compareSeen(seenIps: readonly string[], told: readonly string[]): Check[] {
  const own = ownAddresses();
  return seenIps.map((ip) => {
    const nat = own.has(ip) ? '' : ', behind NAT';
    const family = ipFamily(ip) === 4 ? 4 : 6;
    const wanted = ofFamily(told, family);
    const details = { seen: ip, told: wanted };
    if (wanted.includes(ip))
      return check('public-address', 'ok', `the world sees ${ip}${nat}, as clients are told`, { details });
    if (wanted.length === 0) {
      return check('public-address', 'ok', `the world sees ${ip}${nat}; clients are told no IPv${family} address`, {
        details,
      });
    }
    const where = isPrivate(ip) ? ' (a private address: the STUN server is in the same network)' : '';
    return check(
      'public-address',
      'failed',
      `the world sees ${ip}${nat}${where}, but clients are told ${wanted.join(', ')}`,
      {
        fix: `Set publicIp (and the DNS) to ${ip}, unless clients come in by another address than this machine goes out by.`,
        details,
      },
    );
  });
}

function ofFamily(ips: readonly string[], family: 4 | 6): string[] {
  return ips.filter((ip) => ipFamily(ip) === family);
}
