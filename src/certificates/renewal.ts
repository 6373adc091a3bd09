import type { CertificateStore } from './store.ts';
import type { ReadCertificate } from './read.ts';
import type { CertificateLog, NextCertificate } from './source.ts';

/**
 * How a self-signed certificate is replaced without cutting off its clients.
 *
 * A pin covers the whole certificate, so a new certificate has a new pin even with the same key, and a client whose DERP
 * map has the other pin refuses the relay. A node of a DERP map holds one pin only. But clients try the nodes of a region
 * in order until one works (protocol reference §8.2), so a map may list this relay twice: once with the old pin and once
 * with the new one. Hence the plan:
 *
 * 1. `renewBeforeDays` before the end the next certificate is made, written beside the old one and announced in the log,
 *    every day, with its pin and the date of the switch. From then on `towpath derp-map` prints both nodes.
 * 2. The operator puts these into the map. Clients keep working, through the first node.
 * 3. At the announced date, one day before the end, the server switches by one rename. Clients go on, through the second.
 * 4. `towpath derp-map` prints one node again, with the new pin.
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
  log.info({ certPath: store.certPath, names, notAfter, pinSha256 }, 'self-signed certificate made');
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
