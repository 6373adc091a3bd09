import type { FairnessConfig } from '../config/schema/fairness.ts';
import { FairShare } from '../relay/fairness/fair-share.ts';
import { KeyLimits } from '../relay/fairness/key-limits.ts';
import type { WakeList } from '../base/wake-list.ts';
import type { ChangingLimits } from '../relay/session/sessions.ts';

/** What the connections are told to share, and how. */
export function sharedLimits(
  { perClient, totalBytesPerSecond, tiers }: FairnessConfig,
  wakes: WakeList,
): ChangingLimits {
  const weights = new Map(tiers.flatMap(({ sources, weight }) => sources.map((source) => [source, weight])));
  const share = totalBytesPerSecond > 0 ? new FairShare(wakes, totalBytesPerSecond, performance.now()) : null;
  return {
    rate: perClient,
    keyLimits: new KeyLimits(perClient, share),
    weightOf: (source) => weights.get(source) ?? 1,
  };
}
