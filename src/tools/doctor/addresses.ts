import { lookup } from 'node:dns/promises';
import { withTimeout } from '../probe/network.ts';
import { stunStep } from '../probe/stun.ts';
import { errorMessage } from '../../base/errors.ts';
import { canonicalIp, formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { isPublicIp } from '../../base/public-ip.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay, Findings } from './examined-relay.ts';
import { ownAddresses } from './stun-answer.ts';

const FAMILIES = [4, 6] as const;

/** Compares the relay's name, its configured addresses and the addresses of this machine. */
export async function addressChecks(examined: ExaminedRelay, findings: Findings): Promise<Check[]> {
  const seen = await seenChecks(examined, findings);
  const { hostname, publicIp } = examined.config;
  if (hostname === undefined || ipFamily(hostname) !== 0) {
    const told = hostname === undefined ? publicIp : [hostname, ...publicIp];
    return [...seen, ...compareSeen(findings.seenIps, told.map(canonicalIp))];
  }
  const named = await nameCheck(examined, findings, hostname);
  return [...seen, ...named.checks, ...compareSeen(findings.seenIps, [...publicIp, ...named.ips])];
}

async function nameCheck(
  { config, timeoutMs }: ExaminedRelay,
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

/** Compares DNS with the configuration. A family without a configured address is not compared. */
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
    const whose = publicIp.length === 0 ? 'the address of this machine is' : 'publicIp is';
    return check('names', 'failed', `${hostname} is ${told.join(', ')}, but ${whose} ${wanted.join(', ')}`, {
      fix: `Point the ${family === 4 ? 'A' : 'AAAA'} record of ${hostname} to ${wanted.join(', ')}, or correct ${publicIp.length === 0 ? 'hostname' : 'publicIp'}.`,
      details,
    });
  }
  const isKnown = expected.length > 0 || ips.some((ip) => own.has(ip));
  if (isKnown) return check('names', 'ok', `${hostname} is ${ips.join(', ')}`, { details });
  return check('names', 'warning', `${hostname} is ${ips.join(', ')}, which is not an address of this machine`, {
    fix: 'This is right behind NAT or a load balancer: then set publicIp. Otherwise point the name to this machine.',
    details,
  });
}

/** Asks another STUN server for the public address of this machine. */
async function seenChecks(examined: ExaminedRelay, findings: Findings): Promise<Check[]> {
  const { stunServer, transport, timeoutMs } = examined;
  if (stunServer === null) {
    return [check('public-address', 'skipped', 'not checked; use --stun-server HOST:PORT to ask another STUN server')];
  }
  const { host, port } = stunServer;
  let servers: string[];
  try {
    const found = await withTimeout(lookup(host, { all: true }), timeoutMs, `no answer for the name ${host}`);
    servers = found.map(({ address }) => canonicalIp(address));
  } catch (error) {
    return [
      check('public-address', 'failed', `the STUN server ${host} does not resolve: ${errorMessage(error)}`, {
        fix: 'Use another one with --stun-server.',
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
      fix: 'A firewall may block outgoing UDP, or the server does not work; try another one with --stun-server.',
    }),
  ];
}

/** Compares the public address of this machine with the addresses that clients get. */
function compareSeen(seenIps: readonly string[], told: readonly string[]): Check[] {
  const own = ownAddresses();
  return seenIps.map((ip) => {
    const nat = own.has(ip) ? '' : ', behind NAT';
    const family = ipFamily(ip) === 4 ? 4 : 6;
    const wanted = ofFamily(told, family);
    const details = { seen: ip, told: wanted };
    if (wanted.includes(ip))
      return check('public-address', 'ok', `the public address is ${ip}${nat}, which is what clients get`, { details });
    if (wanted.length === 0) {
      return check(
        'public-address',
        'ok',
        `the public address is ${ip}${nat}; clients do not get an IPv${family} address`,
        {
          details,
        },
      );
    }
    const where = !isPublicIp(ip) ? ' (a private address: the STUN server is in the same network)' : '';
    return check(
      'public-address',
      'failed',
      `the public address is ${ip}${nat}${where}, but clients get ${wanted.join(', ')}`,
      {
        fix: `Set publicIp and DNS to ${ip}, unless incoming connections use another address than outgoing ones.`,
        details,
      },
    );
  });
}

function ofFamily(ips: readonly string[], family: 4 | 6): string[] {
  return ips.filter((ip) => ipFamily(ip) === family);
}
