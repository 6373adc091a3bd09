import type { CertificateStore } from './store.ts';
import type { ReadCertificate } from './read.ts';
import type { CertificateLog, NextCertificate } from './source.ts';

/**
 * How a self-signed certificate is replaced with the least harm to its clients.
 *
 * A pin covers the whole certificate, so a new certificate has a new pin even with the same key, and a client whose DERP
 * map has the other pin refuses the relay. A node of a DERP map holds one pin only, and listing the relay twice does not
 * help: clients try the next node when TCP fails, not when TLS does. But a connection that is open stays open whatever
 * certificate comes after it, and clients connect anew, at once, when their map changes. So the certificate has to change
 * first and the map right after it; then only clients that connect in between are refused. Hence the plan:
 *
 * 1. `renewBeforeDays` before the end the next certificate is written beside the old one, and announced in the log every
 *    day with its pin and a date.
 * 2. At a time of their choosing before that date, operators run `mv NAME.next.crt NAME.crt`, which the running relay
 *    takes up within `pollSeconds`, and then put the output of `towpath derp-map` into the map.
 * 3. If nobody does, the relay switches by itself at that date, one day before the end. The map must change then.
 *
 * Nothing is won by a short validity, since no authority is involved: `validityDays: 3650` makes all this rare.
 */

const DAY_MS = 86_400_000;
/** Clients check the dates by their own clocks, which may be somewhat behind or ahead. */
const CLOCK_SKEW_MS = 3_600_000;
const SWITCH_BEFORE_END_MS = DAY_MS;

/** What decides when and how long. */
export interface RenewalPolicy {
  readonly names: readonly string[];
  readonly validityDays: number;
  readonly renewBeforeDays: number;
}

/** A certificate in use and, while a renewal is announced, the one after it. */
export interface Held {
  readonly current: ReadCertificate;
  readonly next: ReadCertificate | null;
}

/** When the certificate after `current` is made and announced. */
function renewAt({ current }: Held, { renewBeforeDays }: RenewalPolicy): number {
  return current.info.notAfter.getTime() - renewBeforeDays * DAY_MS;
}

/** When the next certificate takes over: as late as is safe, to leave the operator the most time. */
export function switchAt({ current }: Held, { renewBeforeDays }: RenewalPolicy): number {
  return current.info.notAfter.getTime() - Math.min(SWITCH_BEFORE_END_MS, (renewBeforeDays * DAY_MS) / 2);
}

/** The announcement as facts, or null when there is none. */
export function announced(held: Held, policy: RenewalPolicy): NextCertificate | null {
  if (held.next === null) return null;
  return { pinSha256: held.next.info.pinSha256, from: new Date(switchAt(held, policy)) };
}

/** Reads the certificate in use, or makes the first one. */
export function loadOrCreate(store: CertificateStore, policy: RenewalPolicy, now: number, log: CertificateLog): Held {
  const found = store.load();
  if (found !== null) return { current: found, next: store.loadNext() };
  const current = store.create({ names: policy.names, ...validity(policy, now, now) }, false);
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

/** Makes the next certificate when it is time and it is not there yet; it may have been made by another process. */
export function prepareNext(store: CertificateStore, held: Held, policy: RenewalPolicy, now: number): Held {
  if (held.next !== null || now < renewAt(held, policy)) return held;
  const found = store.loadNext();
  if (found !== null && isFor(found, policy.names)) return { ...held, next: found };
  store.dropNext();
  const from = Math.max(now, held.current.info.notAfter.getTime());
  const fields = { names: policy.names, ...validity(policy, now, from) };
  return { ...held, next: store.createNext(fields, held.current.key) };
}

/** Valid from `now` and for the whole validity after `from`, when it takes over. */
function validity(policy: RenewalPolicy, now: number, from: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(from + policy.validityDays * DAY_MS),
  };
}

/** Replaces a certificate whose names do not fit any more, at once: clients that ask for the new name need it. */
export function replaceNow(store: CertificateStore, policy: RenewalPolicy, now: number): Held {
  const fields = { names: policy.names, ...validity(policy, now, now) };
  return { current: store.create(fields, true), next: null };
}
