import type { CertificateInfo } from '../source.ts';
import type { FailureKind } from './failure.ts';
import type { RenewalWindow } from './renewal-info.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Certificates with a shorter life are renewed after half of it: there is less time to fix a failure. */
const SHORT_LIFE_MS = 10 * DAY_MS;
/** Part of the lifetime over which renewals are spread, so that relays of the same age do not renew together. */
const JITTER = 0.05;
/** This part of the lifetime is always kept for new attempts, even if the authority suggests a later time. */
const LATEST = 0.9;
/** Longest wait, independent of the clock and the authority. */
export const LONGEST_WAIT_MS: number = 7 * DAY_MS;

/**
 * First and longest pause after a failure. Let's Encrypt allows five failed validations an hour, so there are four
 * attempts in the first hour.
 */
const PAUSES: Readonly<Record<'far' | 'near', { readonly first: number; readonly longest: number }>> = {
  far: { first: MINUTE_MS, longest: HOUR_MS },
  near: { first: 5 * MINUTE_MS, longest: 6 * HOUR_MS },
};

/** When to renew without advice from the authority: the jitter is the same for the same certificate. */
function renewByLifetime({ notBefore, notAfter, pinSha256 }: CertificateInfo): number {
  const lifetime = notAfter.getTime() - notBefore.getTime();
  const part = lifetime < SHORT_LIFE_MS ? 1 / 2 : 2 / 3;
  const jitter = (Number.parseInt(pinSha256.slice(0, 8), 16) / 2 ** 32) * JITTER;
  return notBefore.getTime() + lifetime * (part - jitter);
}

/** Returns a random time in the window (RFC 9773 §4.2). `random` is from 0 to 1. */
export function momentIn({ start, end }: RenewalWindow, random: number): number {
  return start + (end - start) * random;
}

/** When to renew. `advised`: the moment chosen by the authority's window, or null. */
export function renewAt(info: CertificateInfo, advised: number | null): number {
  if (advised === null) return renewByLifetime(info);
  const [from, to] = [info.notBefore.getTime(), info.notAfter.getTime()];
  return Math.min(advised, from + (to - from) * LATEST);
}

/** Returns the time from which a failing renewal makes the relay not ready: when half of the time for it is over. */
export function alarmAt(info: CertificateInfo, renewal: number): number {
  return (renewal + info.notAfter.getTime()) / 2;
}

/**
 * Returns the shortest time between two successful orders, independent of the clock and the authority: a wrong clock
 * makes each new certificate look old, and Let's Encrypt issues only five for the same names a week.
 */
export function pauseAfterSuccess({ notBefore, notAfter }: CertificateInfo): number {
  return Math.min((notAfter.getTime() - notBefore.getTime()) / 4, 2 * DAY_MS);
}

/** When to try again. `failures` counts this one. `random` is from 0 to 1. */
export function retryAt(
  now: number,
  failures: number,
  failure: { readonly kind: FailureKind; readonly retryAt: number | null },
  random: number,
): number {
  const { first, longest } = PAUSES[failure.kind === 'unreachable' || failure.kind === 'clock' ? 'far' : 'near'];
  const pause = Math.min(first * 2 ** Math.min(failures - 1, 16), longest) * (1 + 0.2 * random);
  return Math.min(Math.max(now + pause, failure.retryAt ?? 0), now + LONGEST_WAIT_MS);
}
