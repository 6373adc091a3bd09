/**
 * Rate limits of clients. A token bucket limits each key (`key-limits.ts`), and a fair share divides the total of the
 * relay among active senders (`fair-share.ts`), with weights by tier (`client-limits.ts`). The frame reader of a
 * session checks both before it takes a frame. This file creates both from the settings.
 */
import type { WakeList } from '../../base/wake-list.ts';
import { FairShare } from './fair-share.ts';
import { KeyLimits } from './key-limits.ts';
import type { ByteRate } from './byte-bucket.ts';

/** The rate limits of clients, as plain data. */
export interface FairnessSettings {
  /** Limits of each node key without its own limits. */
  readonly perClient: ByteRate;
  /** Limit of all keys together; 0: no limit. */
  readonly totalBytesPerSecond: number;
}

/** The parts of what sessions share that {@link FairnessSettings} decide. */
interface SharedLimits {
  readonly rate: ByteRate;
  readonly keyLimits: KeyLimits;
}

/** Creates the limits that all connections share. Each of several `threads` begins with an equal part of the total. */
export function sharedLimits(
  { perClient, totalBytesPerSecond }: FairnessSettings,
  wakes: WakeList,
  threads: number,
): SharedLimits {
  const share = totalBytesPerSecond > 0 ? new FairShare(wakes, totalBytesPerSecond / threads, performance.now()) : null;
  return { rate: perClient, keyLimits: new KeyLimits(perClient, share) };
}
