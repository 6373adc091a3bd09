import { BUILD_DATE_MS } from './build-date.ts';
import type { ReadCertificate } from './read.ts';
import type { NextCertificate } from './source.ts';
import type { CertificateStore } from './store.ts';
import type { WallTime } from './wall-clock.ts';
import type { EventLog } from '../base/event-log.ts';

/**
 * How a self-signed certificate is replaced with the least harm to clients.
 *
 * A pin covers the whole certificate, so a new certificate has a new pin even with the same key, and a client whose DERP
 * map has the other pin refuses the relay. A node of a DERP map holds one pin only, and listing the relay twice does not
 * help: clients try the next node when TCP fails, not when TLS does. But an open connection stays open when the certificate
 * changes, and clients connect again at once when their map changes. So the certificate has to change first and the map
 * right after it; then only clients that connect in between are refused. Therefore:
 *
 * 1. `renewBeforeDays` before the end the next certificate is written next to the old one, and announced in the log every
 *    day with its pin and a date.
 * 2. At a time of their choosing before that date, operators run `mv NAME.next.crt NAME.crt`, which the running relay
 *    uses within `pollSeconds`, and then put the output of `towpath derp-map` into the map.
 * 3. Otherwise the relay switches at that date, one day before the expiry. The map must change then.
 *
 * A short validity has no use, because no authority is involved: `validityDays: 3650` makes all this rare.
 *
 * The clock may be wrong. So nothing is replaced at the first check after a start. When the certificate is not valid by a
 * clock that jumped or was so at the start, it is replaced only after a day. A replaced certificate is kept, and is used
 * again when it is valid and the new one is not.
 */

const DAY_MS = 86_400_000;
/** Clients check the dates by their own clocks, which may differ by this much. */
const CLOCK_SKEW_MS = 3_600_000;
const SWITCH_BEFORE_END_MS = DAY_MS;
/** Time servers need minutes to set a clock after the start; until then no certificate changes by plan. */
const SETTLE_MS = 600_000;
/** Time that a clock by which the certificate is not valid must run before it is trusted. */
export const DISTRUST_MS: number = DAY_MS;
/** Shortest validity of a certificate that is made while the clock is wrong: an unknown part of it may be over. */
const UNKNOWN_TIME_VALIDITY_MS = 3650 * DAY_MS;
/** X.509 has no later dates. */
const LAST_DATE_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/** The settings of a renewal. */
export interface RenewalPolicy {
  readonly names: readonly string[];
  readonly validityDays: number;
  readonly renewBeforeDays: number;
}

/** The certificate in use and, while a renewal is announced, the next one. */
export interface Held {
  readonly current: ReadCertificate;
  readonly next: ReadCertificate | null;
}

/** Why an invalid certificate is not replaced. */
export type Distrust = 'clock-before-build' | 'not-yet-valid' | 'ended';

/** The action that is due now. */
export type Due =
  | { readonly kind: 'nothing' }
  /** Make the next certificate, if it does not exist, and announce it. */
  | { readonly kind: 'announce' }
  /** Switch to the next certificate. */
  | { readonly kind: 'switch' }
  /** Use `old` again: it is valid, and the certificate in use is not. */
  | { readonly kind: 'restore'; readonly old: ReadCertificate }
  /** The clock may be wrong. */
  | { readonly kind: 'wait'; readonly why: Distrust };

/** Returns when the certificate after `current` is made and announced. */
function renewAt(current: ReadCertificate, { renewBeforeDays }: RenewalPolicy): number {
  return current.info.notAfter.getTime() - renewBeforeDays * DAY_MS;
}

/** Returns when the next certificate takes over: as late as is safe, so that the operator has the most time. */
function switchAt({ current }: Held, { renewBeforeDays }: RenewalPolicy): number {
  return current.info.notAfter.getTime() - Math.min(SWITCH_BEFORE_END_MS, (renewBeforeDays * DAY_MS) / 2);
}

/** Returns the announced certificate, or null when there is none yet. */
export function announced(held: Held, policy: RenewalPolicy, now: number): NextCertificate | null {
  if (held.next === null || now < renewAt(held.current, policy)) return null;
  return { pinSha256: held.next.info.pinSha256, from: new Date(switchAt(held, policy)) };
}

function isValid({ info }: ReadCertificate, now: number): boolean {
  return info.notBefore.getTime() <= now && now < info.notAfter.getTime();
}

/** Returns the action that is due. `loadOld` returns the certificates that were in use before. */
export function whatIsDue(held: Held, policy: RenewalPolicy, time: WallTime, loadOld: () => ReadCertificate[]): Due {
  const { now, steadyFrom, steadyMs } = time;
  const { current } = held;
  if (now < BUILD_DATE_MS) return wait('clock-before-build');
  if (isValid(current, now)) {
    if (now < renewAt(current, policy)) return { kind: 'nothing' };
    return { kind: now >= switchAt(held, policy) && steadyMs >= SETTLE_MS ? 'switch' : 'announce' };
  }
  // Goes back to an earlier certificate at once: the one in use was made by a clock that was ahead.
  const old = loadOld().find((one) => isFor(one, policy.names) && isValid(one, now));
  const isBackwards = old !== undefined && old.info.notBefore < current.info.notBefore;
  if (old !== undefined && (isBackwards || steadyMs >= SETTLE_MS)) return { kind: 'restore', old };
  const ended = current.info.notAfter.getTime();
  if (now < ended) return steadyMs >= DISTRUST_MS ? { kind: 'switch' } : wait('not-yet-valid');
  // The certificate expired while the clock ran without jumps, or the next one was announced before.
  const isExpected = steadyFrom < ended || (held.next !== null && isValid(held.next, now));
  return steadyMs >= (isExpected ? SETTLE_MS : DISTRUST_MS) ? { kind: 'switch' } : wait('ended');
}

function wait(why: Distrust): Due {
  return { kind: 'wait', why };
}

/** Reads the certificate in use, or makes the first one. */
export function loadOrCreate(store: CertificateStore, policy: RenewalPolicy, now: number, log: EventLog): Held {
  const found = store.load();
  if (found !== null) return { current: found, next: store.loadNext() };
  const current = store.create({ names: policy.names, ...firstValidity(policy, now) });
  const { names, notAfter, pinSha256 } = current.info;
  const others = store.otherCertificates();
  const facts = { certPath: store.certPath, names, notAfter, pinSha256 };
  if (others.length === 0) log.info(facts, 'self-signed certificate made');
  else {
    log.warn(
      { ...facts, others },
      'self-signed certificate made; the directory has one of another name, and clients that pin that one cannot connect until the DERP map has the new pin',
    );
  }
  return { current, next: null };
}

/** True when the certificate is for exactly these names. */
export function isFor(certificate: ReadCertificate, names: readonly string[]): boolean {
  const has = new Set(certificate.info.names);
  return has.size === names.length && names.every((name) => has.has(name));
}

/** Makes the next certificate unless a usable one exists, perhaps made by another process. */
export function prepareNext(store: CertificateStore, held: Held, policy: RenewalPolicy, now: number): Held {
  const found = held.next ?? store.loadNext();
  if (found !== null && isFor(found, policy.names) && isValid(found, now)) return { ...held, next: found };
  store.dropNext();
  const { current } = held;
  const from = isValid(current, now) ? current.info.notAfter.getTime() : now;
  const dates = {
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(Math.min(from + policy.validityDays * DAY_MS, LAST_DATE_MS)),
  };
  return { ...held, next: store.createNext({ names: policy.names, ...dates }, current.key) };
}

/**
 * Returns the validity of a first certificate. It begins at the build date of this version at the latest, so that the
 * certificate stays valid when a wrong clock is corrected.
 */
function firstValidity({ validityDays }: RenewalPolicy, now: number): { notBefore: Date; notAfter: Date } {
  const validityMs = validityDays * DAY_MS;
  const isWrong = now < BUILD_DATE_MS;
  const end = isWrong ? BUILD_DATE_MS + Math.max(validityMs, UNKNOWN_TIME_VALIDITY_MS) : now + validityMs;
  return {
    notBefore: new Date(Math.max(Math.min(now, BUILD_DATE_MS) - CLOCK_SKEW_MS, 0)),
    notAfter: new Date(Math.min(end, LAST_DATE_MS)),
  };
}

/**
 * Replaces a certificate whose names have changed, at once, because clients need the new names. An earlier certificate
 * with these names is used again.
 */
export function replaceNow(store: CertificateStore, held: Held, policy: RenewalPolicy, now: number): Held {
  const old = store.loadOld().find((one) => isFor(one, policy.names) && isValid(one, now));
  if (old === undefined) {
    const fields = { names: policy.names, ...firstValidity(policy, now) };
    return { current: store.replace(fields, held.current), next: null };
  }
  store.restore(old, held.current);
  store.dropNext();
  return { current: store.loadCurrent(), next: null };
}
