/** Has something to write at the end of the turn. */
export interface Flushable {
  flush(): void;
}

/** Was paused because it used up its read budget. */
export interface Reader {
  resumeReading(): void;
}

/**
 * What all greedy connections together may read in one turn. It bounds how long a turn lasts, and with it the delay of
 * a thin flow, however many greedy ones there are: some 5 ms of work.
 */
const TURN_BYTES = 2 * 1024 * 1024;
/** A greedy connection's budget is not made smaller than this: each turn has a price of its own. */
const LEAST_BUDGET_BYTES = 8192;

/**
 * One turn of the event loop: outboxes that were touched in it are flushed together at its end, and connections that
 * have used up their read budget read again afterwards. Both halves are needed under overload (performance.md §0.2).
 */
export class LoopTurn {
  /** Counts turns, so that a connection can tell whether its budget is of this one. */
  number = 0;
  /** Bytes that a connection of weight 1 may read in this turn; see {@link TURN_BYTES}. */
  budgetBytes: number;
  readonly #mostBudgetBytes: number;
  #touched: Flushable[] = [];
  #readers: Reader[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#end();

  /** `mostBudgetBytes`: the budget of a turn in which few are greedy. */
  constructor(mostBudgetBytes: number) {
    this.#mostBudgetBytes = mostBudgetBytes;
    this.budgetBytes = mostBudgetBytes;
  }

  /** `flushable.flush()` is called at the end of this turn. The caller sees to it that it is not asked for twice. */
  flushAtEnd(flushable: Flushable): void {
    this.#touched.push(flushable);
    this.#schedule();
  }

  /** `reader.resumeReading()` is called after this turn's flush. */
  resumeAtEnd(reader: Reader): void {
    this.#readers.push(reader);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #end(): void {
    this.#scheduled = false;
    this.number++;
    const touched = this.#touched;
    this.#touched = [];
    for (const flushable of touched) flushable.flush();
    const readers = this.#readers;
    this.#readers = [];
    const equalBytes = Math.max(TURN_BYTES / Math.max(readers.length, 1), LEAST_BUDGET_BYTES);
    this.budgetBytes = Math.min(this.#mostBudgetBytes, equalBytes);
    for (const reader of readers) reader.resumeReading();
  }
}
