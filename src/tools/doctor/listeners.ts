import { openAdmin } from '../../service/admin-target.ts';
import { isWildcard } from '../../certificates/names.ts';
import { generate204Step } from '../probe/captive-portal.ts';
import { tcpStep } from '../probe/network.ts';
import { stunStep } from '../probe/stun.ts';
import type { ListenAddress } from '../../config/schema.ts';
import { errorMessage, systemErrorCode, TowpathError } from '../../base/errors.ts';
import { formatHostPort, ipFamily } from '../../base/ip-address.ts';
import { formatNodeKey } from '../../wire/keys.ts';
import { formatPin } from '../../wire/pin.ts';
import { VERSION } from '../../base/version.ts';
import { check, type Check } from './check.ts';
import type { ExaminedRelay, Findings } from './examined-relay.ts';
import { ownerText, portOwner } from '../../base/port-owner.ts';
import { inspectPort, type PortIdentity } from './inspect-port.ts';
import { mayConnect, proxyChecks } from './proxy.ts';
import { validity } from './setup.ts';
import { checkStunAnswer, ownAddresses } from './stun-answer.ts';

/** With port 0 the system chooses a free port; only the running relay knows it. */
const ANY_PORT = "port 0 means a different port at each start; see the relay's log";

/** Checks every port on which the relay should listen. */
export async function listenerChecks(examined: ExaminedRelay, findings: Findings): Promise<Check[]> {
  const { listen, http, stun, admin } = examined.config;
  const found = await Promise.all([
    ...listen.map((address) => derpChecks(examined, findings, address)),
    ...http.map((address) => httpChecks(examined, address)),
    ...stun.listen.map((address) => stunChecks(examined, findings, address)),
  ]);
  const off = [
    ...(http.length === 0 ? [check('http-port', 'skipped', 'off')] : []),
    ...(stun.listen.length === 0
      ? [
          check('stun-port', 'warning', 'off: clients cannot measure the latency to this relay', {
            fix: 'Set stun to "[::]:3478", unless another program answers STUN for this region.',
          }),
        ]
      : []),
    ...(admin.listen === null && admin.socket === undefined ? [check('admin-port', 'skipped', 'off')] : []),
  ];
  return [...found.flat(), ...off];
}

/** The IP address at which this machine reaches a listener on `address`. */
export function localIp({ ip }: ListenAddress): string {
  return isWildcard(ip) ? '127.0.0.1' : ip;
}

async function derpChecks(examined: ExaminedRelay, findings: Findings, address: ListenAddress): Promise<Check[]> {
  const { port } = address;
  if (port === 0) return [check('derp-port', 'skipped', ANY_PORT)];
  const ip = localIp(address);
  const where = formatHostPort(ip, port);
  const { owner } = portOwner('tcp', port);
  if (!mayConnect(examined.config, ip)) return [closedToUs(findings, where, port)];
  let presented: PortIdentity;
  try {
    const { local: transport, clock, timeoutMs, config } = examined;
    const secure = config.transport === 'tls';
    presented = await inspectPort({ transport, clock, timeoutMs, ip, port, host: config.hostname ?? ip, secure });
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    return [silent(findings, error, where, port)];
  }
  const { serverKey, certificate, isRelay } = presented;
  if (!isRelay) {
    return [
      check('derp-port', 'failed', `${where} is used by another program${ownerText(owner)}: it does not speak DERP`, {
        fix: takenFix(port),
      }),
    ];
  }
  if (examined.publicKey !== null && serverKey?.equals(examined.publicKey) === false) {
    return [
      check(
        'derp-port',
        'failed',
        `${where} is a relay with another key${ownerText(owner)}: ${formatNodeKey(serverKey)} instead of ${formatNodeKey(examined.publicKey)}`,
        {
          fix: `Another relay runs there, or it was started with a key file other than ${examined.config.keyFile}. Stop the wrong relay, or run the doctor with the configuration of the running one.`,
        },
      ),
    ];
  }
  findings.relay = owner;
  findings.served = certificate;
  findings.chain = presented.chain;
  const whose = examined.publicKey === null || serverKey === null ? 'a relay' : 'this relay';
  const text = `${where} is ${whose}${ownerText(owner)}`;
  return [
    check('derp-port', 'ok', text, { details: { serverKey: serverKey === null ? null : formatNodeKey(serverKey) } }),
    ...served(examined, presented),
  ];
}

/** The check when this machine is not in `proxy.trusted`. */
function closedToUs(findings: Findings, where: string, port: number): Check {
  const { isTaken, owner } = portOwner('tcp', port);
  if (isTaken === false) return notRunning(findings, where, '');
  return check(
    'derp-port',
    'skipped',
    `${where}${ownerText(owner)} accepts connections from proxy.trusted only, and this machine is not in it`,
  );
}

function notRunning(findings: Findings, where: string, elsewhere: string): Check {
  findings.relay = 'none';
  return check('derp-port', 'failed', `nothing listens on ${where}: the relay is not running${elsewhere}`, {
    fix: 'Start it (towpath serve, or systemctl start towpath). If it stops again, read its log.',
  });
}

/** Nothing listens there, or it does not speak TLS. */
function silent(findings: Findings, error: TowpathError, where: string, port: number): Check {
  const { isTaken, owner } = portOwner('tcp', port);
  if (systemErrorCode(error.cause) === 'ECONNREFUSED' || isTaken === false) {
    const elsewhere =
      isTaken === true ? `; a program listens on port ${port} of another address${ownerText(owner)}` : '';
    return notRunning(findings, where, elsewhere);
  }
  return check('derp-port', 'failed', `${where} is used by another program${ownerText(owner)}: ${error.message}`, {
    fix: takenFix(port),
  });
}

function takenFix(port: number): string {
  return `Find it with "ss -lntp 'sport = :${port}'" and stop it, or choose another port with listen and derpPort.`;
}

/** Whether the relay serves the certificate that is on the disk, and whether it is valid. */
function served({ stored, config }: ExaminedRelay, { certificate }: PortIdentity): Check[] {
  if (certificate === null) return [];
  const isSame = stored?.info.pinSha256 === certificate.pinSha256;
  const checks: Check[] = isSame
    ? []
    : [validity('served-certificate', certificate, 'the certificate that the relay serves', config)];
  if (stored === null || isSame) return checks;
  const wait = config.certificate.pollSeconds;
  return [
    ...checks,
    check(
      'served-certificate',
      'failed',
      `the relay serves another certificate (${formatPin(certificate.pinSha256)}) than the one on the disk`,
      {
        fix: `It reads changed files within ${wait} s unless they are invalid. Search its log for "certificate", or restart it.`,
      },
    ),
  ];
}

async function httpChecks(examined: ExaminedRelay, address: ListenAddress): Promise<Check[]> {
  const { port } = address;
  if (port === 0) return [check('http-port', 'skipped', ANY_PORT)];
  const { local: transport, timeoutMs } = examined;
  const ip = localIp(address);
  const where = formatHostPort(ip, port);
  const tcp = await tcpStep(transport, ipFamily(ip) === 6 ? 'tcp-ipv6' : 'tcp-ipv4', ip, port, timeoutMs);
  if (tcp.status === 'failed') {
    return [
      check('http-port', 'failed', `nothing listens on ${where}`, {
        fix: 'Start the relay. If it runs, its log says why it could not open this port.',
      }),
    ];
  }
  const answer = await generate204Step(transport, ip, port, timeoutMs);
  if (answer.status !== 'failed')
    return [{ ...answer, step: 'http-port', text: `${where} answers captive-portal checks` }];
  return [
    check(
      'http-port',
      'failed',
      `${where} is used by another program${ownerText(portOwner('tcp', port).owner)}: ${answer.text}`,
      {
        fix: `Find it with "ss -lntp 'sport = :${port}'" and stop it, or choose another address with http (or off).`,
      },
    ),
  ];
}

async function stunChecks(examined: ExaminedRelay, findings: Findings, address: ListenAddress): Promise<Check[]> {
  const { port } = address;
  if (port === 0) return [check('stun-port', 'skipped', ANY_PORT)];
  const ip = localIp(address);
  const where = formatHostPort(ip, port);
  const answer = await stunStep(
    examined.transport,
    ipFamily(ip) === 6 ? 'stun-ipv6' : 'stun-ipv4',
    ip,
    port,
    examined.timeoutMs,
  );
  if (answer.status !== 'failed') return [{ ...checkStunAnswer(answer, ownAddresses()), step: 'stun-port' }];
  const { isTaken, owner } = portOwner('udp', port);
  if (isTaken !== true) {
    return [
      check('stun-port', 'failed', `nothing listens on ${where} (UDP)`, {
        fix: 'Start the relay. If it runs, check whether STUN is off or uses another port (stun.listen).',
      }),
    ];
  }
  const { relay } = findings;
  if (owner !== null && relay !== null && relay !== 'none' && owner.pid === relay.pid) {
    return [
      check('stun-port', 'failed', `the relay listens on ${where} (UDP), but does not answer`, {
        fix: 'The relay does not answer STUN while it is not ready: see its readiness. Otherwise check the firewall of this machine.',
      }),
    ];
  }
  return [
    check(
      'stun-port',
      'failed',
      `${where} (UDP) is in use${ownerText(owner)}, but does not answer STUN requests of clients`,
      {
        fix: `If "ss -lnup 'sport = :${port}'" shows another program, stop it or choose another port. Otherwise check the firewall of this machine.`,
      },
    ),
  ];
}

/** Whether the running relay has the version of this command. */
function runningVersion(metrics: string): Check[] {
  const running = /^towpath_build_info\{.*?version="([^"]*)"/m.exec(metrics)?.[1];
  if (running === undefined || running === VERSION) return [];
  return [
    check('version', 'warning', `the running relay is towpath ${running}, this command is ${VERSION}`, {
      fix: 'Restart the relay, so that it runs the installed version.',
    }),
  ];
}

/** Asks the relay whether it is ready. */
export async function readinessChecks(examined: ExaminedRelay): Promise<Check[]> {
  const { config } = examined;
  const { listen, socket } = config.admin;
  if (listen === null && socket === undefined) return [];
  if (socket === undefined && listen?.port === 0) return [check('admin-port', 'skipped', ANY_PORT)];
  try {
    const admin = openAdmin(examined.config.admin, examined.timeoutMs)!;
    const response = await admin.get('/readyz');
    const text = response.body.toString('utf8').trim();
    if (response.status === 200) {
      const ready = check('ready', 'ok', `the relay says that it is ready (${admin.place}/readyz)`);
      const metrics = (await admin.get('/metrics')).body.toString('utf8');
      return [ready, ...runningVersion(metrics), ...proxyChecks(config, metrics)];
    }
    if (response.status === 503) {
      return [
        check('ready', 'failed', `the relay says that it is not ready: ${text.replaceAll('\n', '; ')}`, {
          fix: 'Its log has more about each of them.',
        }),
      ];
    }
    throw new Error(`/readyz answers ${response.status}`);
  } catch (error) {
    return [adminFailure(error, config.admin)];
  }
}

function adminFailure(error: unknown, { listen, socket }: ExaminedRelay['config']['admin']): Check {
  if (error instanceof TowpathError && error.code === 'TOWPATH_ADMIN_TOKEN') {
    return check('admin-port', 'failed', error.message, { fix: error.hint });
  }
  const where = socket ?? formatHostPort(localIp(listen!), listen!.port);
  let cause: unknown = error;
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause;
  if (socket !== undefined || systemErrorCode(cause) === 'ECONNREFUSED') {
    return check('admin-port', 'failed', `nothing listens on ${where}`, {
      fix: 'Start the relay. If it runs, its log says why it could not open this port.',
    });
  }
  const { port } = listen!;
  const { owner } = portOwner('tcp', port);
  return check(
    'admin-port',
    'failed',
    `${where} is used by another program${ownerText(owner)}: ${errorMessage(cause)}`,
    {
      fix: `Find it with "ss -lntp 'sport = :${port}'" and stop it, or choose another address with admin (or off).`,
    },
  );
}
