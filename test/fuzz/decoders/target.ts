import type { Random } from '../random.ts';
import { applyEdits, edits } from '../mutate.ts';

/** A decoder under test, or a part behind it that keeps state. */
export interface Target {
  readonly name: string;
  /** Good inputs, from which most others are made. */
  readonly samples: readonly Buffer[];
  /** Feeds it one input, with other values from `random`; throws when a property does not hold. */
  feed(input: Buffer, random: Random): void | Promise<void>;
  /** Checks the kept state; throws when it is larger than allowed. */
  end?(): void | Promise<void>;
}

/** Returns an input for a target: mostly a changed sample, sometimes noise. */
export function inputFor({ samples }: Target, random: Random): Buffer {
  if (samples.length === 0 || random.once(10)) return random.bytes(random.below(400));
  const sample = random.pick(samples);
  return random.once(10) ? Buffer.from(sample) : applyEdits(sample, edits(random, sample.length));
}

/** Throws unless `holds`. */
export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`it does not hold that ${what}`);
}
