import type { X509Certificate } from 'node:crypto';
import { parseObject, ask, readDirectory, waitMs, type Requester } from './authority-requests.ts';

/** RFC 9773 §4.3.3: asking too often burdens the authority, asking too seldom misses a revocation. */
const SOONEST_CHECK_MS = 60_000;
const LATEST_CHECK_MS = 86_400_000;
const USUAL_CHECK_MS = 6 * 3_600_000;
const AUTHORITY_KEY_IDENTIFIER = Buffer.from('0603551d23', 'hex');
const DER_OCTET_STRING = 0x04;
const DER_SEQUENCE = 0x30;
const DER_KEY_IDENTIFIER = 0x80;

/** The time in which the authority wants a certificate to be renewed. Milliseconds since 1970. */
export interface RenewalWindow {
  readonly start: number;
  readonly end: number;
}

export interface RenewalInfo {
  /** Null: the authority does not offer this, or does not know the certificate. */
  readonly window: RenewalWindow | null;
  /** URL of a page with the reason, if the authority has one. */
  readonly explanation: string | null;
  /** Milliseconds until the next request. */
  readonly checkAgainMs: number;
}

/** Asks the authority about one certificate. */
export async function askRenewalInfo(
  request: Requester,
  directoryUrl: string,
  leaf: X509Certificate,
  now: number,
): Promise<RenewalInfo> {
  const nothing = { window: null, explanation: null, checkAgainMs: LATEST_CHECK_MS };
  const id = renewalId(leaf);
  const { renewalInfo } = await readDirectory(request, directoryUrl);
  if (renewalInfo === null || id === null) return nothing;
  const answer = await ask(request, `${renewalInfo.replace(/\/$/, '')}/${id}`);
  const checkAgainMs = clamp(waitMs(answer.headers, now) ?? USUAL_CHECK_MS);
  if (answer.status !== 200) return { ...nothing, checkAgainMs: Math.max(checkAgainMs, USUAL_CHECK_MS) };
  const value = parseObject(answer.text);
  const explanation = value?.['explanationURL'];
  return {
    window: readWindow(value?.['suggestedWindow']),
    explanation: typeof explanation === 'string' ? explanation : null,
    checkAgainMs,
  };
}

function clamp(ms: number): number {
  return Math.min(Math.max(ms, SOONEST_CHECK_MS), LATEST_CHECK_MS);
}

function readWindow(value: unknown): RenewalWindow | null {
  if (typeof value !== 'object' || value === null || !('start' in value) || !('end' in value)) return null;
  const [start, end] = [Date.parse(String(value.start)), Date.parse(String(value.end))];
  // RFC 9773 §4.2: a window that ends before it starts counts as no answer. NaN is caught as well.
  return end > start ? { start, end } : null;
}

/** The name of a certificate in RFC 9773 §4.1: authority key identifier and serial number; null when it has no AKI. */
export function renewalId(leaf: X509Certificate): string | null {
  const at = leaf.raw.indexOf(AUTHORITY_KEY_IDENTIFIER);
  if (at < 0) return null;
  const [outer, , inner, , tag, length = 0] = leaf.raw.subarray(at + AUTHORITY_KEY_IDENTIFIER.length);
  if (outer !== DER_OCTET_STRING || inner !== DER_SEQUENCE || tag !== DER_KEY_IDENTIFIER) return null;
  const from = at + AUTHORITY_KEY_IDENTIFIER.length + 6;
  const keyId = leaf.raw.subarray(from, from + length);
  const hex = leaf.serialNumber.length % 2 === 0 ? leaf.serialNumber : `0${leaf.serialNumber}`;
  // The serial number is the content of a DER integer, which is positive.
  const serial = Buffer.from(/^[89a-f]/i.test(hex) ? `00${hex}` : hex, 'hex');
  return `${keyId.toString('base64url')}.${serial.toString('base64url')}`;
}
