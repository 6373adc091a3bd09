import type { RefusalExample, RefusalsAnswer } from '../../api/shapes.ts';
import type { RefusalReason } from '../../observe/counters.ts';
import { REFUSAL_HELP } from '../../observe/refusal-help.ts';
import { shortKey } from '../../wire/keys.ts';

const MINUTES = 60;
const MINUTE_MS = 60_000;
/** Examples that are kept of each reason. */
const EXAMPLES = 10;
/**
 * Shortest time between two kept examples of one reason, unless there are few: a flood must not cost a string per
 * refusal.
 */
const EXAMPLE_EVERY_MS = 200;
const LONGEST_DETAIL = 300;

/** The refusals for one reason: a count for each minute in a ring, and the last examples. */
interface Tally {
  readonly perMinute: number[];
  /** The minute of the last refusal, since the start of the clock. */
  minute: number;
  readonly examples: RefusalExample[];
  exampleMs: number;
}

/**
 * Connections that were refused or ended by the relay in the last hour, by reason. Its size is limited by the number of
 * reasons.
 */
export class RefusalHistory {
  readonly #tallies = new Map<RefusalReason, Tally>();
  readonly #now: () => number;

  /** `now` gives milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts one refusal. `key` is null when the client had not proved one. */
  add(reason: RefusalReason, ip: string, key: Buffer | null, detail: string): void {
    const now = this.#now();
    let tally = this.#tallies.get(reason);
    if (tally === undefined) {
      tally = { perMinute: new Array<number>(MINUTES).fill(0), minute: 0, examples: [], exampleMs: -Infinity };
      this.#tallies.set(reason, tally);
    }
    moveTo(tally, Math.floor(now / MINUTE_MS));
    tally.perMinute[tally.minute % MINUTES]! += 1;
    if (tally.examples.length === EXAMPLES && now - tally.exampleMs < EXAMPLE_EVERY_MS) return;
    tally.exampleMs = now;
    tally.examples.push({
      at: new Date().toISOString(),
      ip,
      shortKey: key === null ? '' : shortKey(key),
      detail: detail.slice(0, LONGEST_DETAIL),
    });
    if (tally.examples.length > EXAMPLES) tally.examples.shift();
  }

  answer(): RefusalsAnswer {
    const minute = Math.floor(this.#now() / MINUTE_MS);
    const reasons = [...this.#tallies].map(([reason, tally]) => {
      moveTo(tally, minute);
      const at = (minute + 1) % MINUTES;
      const perMinute = [...tally.perMinute.slice(at), ...tally.perMinute.slice(0, at)];
      const count = perMinute.reduce((sum, one) => sum + one, 0);
      return { reason, count, perMinute, last: tally.examples.toReversed(), ...REFUSAL_HELP[reason] };
    });
    const recent = reasons.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
    return { minutes: MINUTES, total: recent.reduce((sum, { count }) => sum + count, 0), reasons: recent };
  }
}

/** Clears the minutes between the last refusal and `minute`. */
function moveTo(tally: Tally, minute: number): void {
  const passed = Math.min(minute - tally.minute, MINUTES);
  for (let i = 1; i <= passed; i++) tally.perMinute[(tally.minute + i) % MINUTES] = 0;
  tally.minute = Math.max(minute, tally.minute);
}
