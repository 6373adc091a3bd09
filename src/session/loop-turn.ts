/** Has something to write at the end of the turn. */
export interface Flushable {
  flush(): void;
}

/** Was paused because it used up its read budget. */
export interface Reader {
  resumeReading(): void;
}

/**
 * One turn of the event loop: outboxes that were touched in it are flushed together at its end, and connections that
 * have used up their read budget read again afterwards. Both halves are needed under overload (performance.md §0.2).
 */
export class LoopTurn {
  /** Counts turns, so that a connection can tell whether its budget is of this one. */
  number = 0;
  #touched: Flushable[] = [];
  #readers: Reader[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#end();

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
    for (const reader of readers) reader.resumeReading();
  }
}
