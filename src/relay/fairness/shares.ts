/**
 * What clients may send. A token bucket bounds each key (`key-limits.ts`), and a fair share divides the total of the relay
 * among those that send (`fair-share.ts`), with weights by tier (`client-limits.ts`). The frame reader of a session asks
 * before it takes a frame. This file makes both of their settings.
 */
import type { WakeList } from '../../base/wake-list.ts';
import { FairShare } from './fair-share.ts';
import { KeyLimits } from './key-limits.ts';
import type { ByteRate } from './byte-bucket.ts';

/** What clients may send, as plain data. */
export interface FairnessSettings {
  /** For each node key that has no limits of its own. */
  readonly perClient: ByteRate;
  /** For all together; 0: no limit. */
  readonly totalBytesPerSecond: number;
}

/** The parts of what sessions share that {@link FairnessSettings} decide. */
interface SharedLimits {
  readonly rate: ByteRate;
  readonly keyLimits: KeyLimits;
}

/** What the connections are told to share, and how. Each of several `threads` has an equal part of the total. */
export function sharedLimits(
  { perClient, totalBytesPerSecond }: FairnessSettings,
  wakes: WakeList,
  threads: number,
): SharedLimits {
  const share = totalBytesPerSecond > 0 ? new FairShare(wakes, totalBytesPerSecond / threads, performance.now()) : null;
  return { rate: perClient, keyLimits: new KeyLimits(perClient, share) };
}
