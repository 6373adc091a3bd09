/** Samples that are kept: rates are over the time from the oldest to the newest. */
const SAMPLES = 6;

interface Sample<Name extends string> {
  readonly atMs: number;
  readonly counts: Readonly<Record<Name, number>>;
}

/** Rates per second of counts that only grow, over the last six samples. */
export class RateMeter<Name extends string> {
  readonly #samples: Sample<Name>[] = [];

  /** Takes the counts at a time in milliseconds. */
  sample(atMs: number, counts: Readonly<Record<Name, number>>): void {
    this.#samples.push({ atMs, counts });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Returns the rates; null until two samples were taken at different times. */
  rates(): Readonly<Record<Name, number>> | null {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return null;
    const seconds = (last.atMs - first.atMs) / 1000;
    const names = Object.keys(last.counts) as Name[];
    return Object.fromEntries(
      names.map((name) => [name, Math.max(0, (last.counts[name] - first.counts[name]) / seconds)]),
    ) as Record<Name, number>;
  }
}
