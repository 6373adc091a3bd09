import type { FairnessConfig } from '../config/schema/fairness.ts';
import { FairShare } from '../relay/fairness/fair-share.ts';
import { KeyLimits } from '../relay/fairness/key-limits.ts';
import type { WakeList } from '../base/wake-list.ts';
import type { SessionContext } from '../relay/session/context.ts';

/** The parts of a session's context that `fairness` in the configuration decides. */
type SharedLimits = Pick<SessionContext, 'rate' | 'keyLimits' | 'weightOf'>;

/** What the connections are told to share, and how. */
export function sharedLimits({ perClient, totalBytesPerSecond, tiers }: FairnessConfig, wakes: WakeList): SharedLimits {
  const weights = new Map(tiers.flatMap(({ sources, weight }) => sources.map((source) => [source, weight])));
  const share = totalBytesPerSecond > 0 ? new FairShare(wakes, totalBytesPerSecond, performance.now()) : null;
  return {
    rate: perClient,
    keyLimits: new KeyLimits(perClient, share),
    weightOf: (source) => weights.get(source) ?? 1,
  };
}
