import type { CertificateAnswer, Problem, StatusAnswer, Totals } from '../../api/shapes.ts';
import { formatHostPort } from '../../base/ip-address.ts';
import type { CertificateInfo } from '../../certificates/source.ts';
import { type CounterValues, DROP_REASON_NAMES } from '../../observe/counters.ts';
import type { Health } from '../../observe/health.ts';
import type { Endpoint } from '../../transport/port.ts';
import { formatPin } from '../../wire/pin.ts';
import { ENDING } from '../readiness.ts';
import { adviceFor } from './problem-advice.ts';
import { droppedPackets, refusalCount } from './sampler.ts';

const DAY_MS = 86_400_000;
/** A certificate that ends sooner than this is worth a warning: every source renews earlier. */
const WARN_DAYS = 7;

/** The addresses of all listeners. */
interface Addresses {
  readonly derp: readonly Endpoint[];
  readonly http: readonly Endpoint[];
  readonly stun: readonly Endpoint[];
  readonly admin: Endpoint | null;
}

/** Returns counts since the start and gauges, as the API gives them. */
export function totalsOf(counters: CounterValues): Totals {
  return {
    connections: counters.connections,
    homeConnections: counters.homeConnections,
    keys: counters.localKeys,
    duplicateKeys: counters.duplicateKeys,
    receivedBytes: counters.bytesReceived,
    receivedPackets: counters.packetsReceived,
    sentBytes: counters.bytesSent,
    sentPackets: counters.packetsSent,
    droppedPackets: droppedPackets(counters),
    drops: Object.fromEntries(
      DROP_REASON_NAMES.map((name, reason) => [name, counters.dropPackets[reason]!.reduce((sum, n) => sum + n, 0)]),
    ),
    refusals: refusalCount(counters),
    stunAnswers: counters.stunSuccess,
    internalErrors: counters.internalErrors,
  };
}

/** Returns the part of the status that health decides. */
export function readinessOf(health: Health): Pick<StatusAnswer, 'isReady' | 'isDraining' | 'problems'> {
  const problems = health.problems();
  return {
    isReady: health.ready,
    isDraining: problems.some(({ name }) => name === ENDING),
    problems: problems.map(({ name, problem }) => ({ name, problem, advice: adviceFor(name) })),
  };
}

/** Returns all listeners as text. */
export function listenersOf({ derp, http, stun, admin }: Addresses): StatusAnswer['listeners'] {
  const text = ({ ip, port }: Endpoint): string => formatHostPort(ip, port);
  return {
    derp: derp.map(text),
    http: http.map(text),
    stun: stun.map(text),
    admin: admin === null ? null : text(admin),
  };
}

/** Returns the certificate in use. */
export function certificateOf(info: CertificateInfo, transport: 'tls' | 'plain', now: number): CertificateAnswer {
  const { names, notBefore, notAfter, pinSha256, selfSigned, origin, provisional, next } = info;
  return {
    transport,
    origin: origin ?? (selfSigned ? 'self-signed' : 'from files'),
    names,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    daysLeft: Math.floor((notAfter.getTime() - now) / DAY_MS),
    pin: formatPin(pinSha256),
    isSelfSigned: selfSigned,
    isProvisional: provisional === true,
    next: next === null ? null : { pin: formatPin(next.pinSha256), from: next.from.toISOString() },
  };
}

/** Returns what needs attention although the relay is ready. */
export function warningsOf(parts: {
  readonly certificate: CertificateAnswer;
  /** True when every client may connect although the configuration does not say so. */
  readonly isOpenByAccident: boolean;
  readonly sources: readonly { readonly name: string; readonly problem: string | null; readonly isUsable: boolean }[];
  readonly internalErrors: number;
}): Problem[] {
  const { certificate, isOpenByAccident, sources, internalErrors } = parts;
  const warnings: Problem[] = [];
  if (certificate.transport === 'tls' && certificate.daysLeft < WARN_DAYS && certificate.daysLeft >= 0) {
    warnings.push({
      name: 'certificate',
      problem: `the certificate expires in ${certificate.daysLeft} days`,
      advice: 'It should have been renewed by now: the log says why not, and docs/certificates.md what to do.',
    });
  }
  if (isOpenByAccident) {
    warnings.push({
      name: 'admission',
      problem: 'everyone may use this relay: no admission source is configured',
      advice: 'Add an admission source (docs/admission.md), or write admission.open: true if that is what you want.',
    });
  }
  for (const { name, problem, isUsable } of sources) {
    if (problem === null || !isUsable) continue;
    warnings.push({
      name: `admission source ${name}`,
      problem,
      advice: 'Its last answers stay in use for a time. Find out why the source does not answer.',
    });
  }
  if (internalErrors > 0) {
    warnings.push({
      name: 'internal-errors',
      problem: `${internalErrors} bugs of the relay were caught since the start`,
      advice: 'The relay continues. Please report the lines "internal error" of the log.',
    });
  }
  return warnings;
}
