import { internalError } from '../../base/errors.ts';

/** Has something to write at the end of the turn. */
export interface Flushable {
  flush(): void;
}

/** Was paused because it used up its read budget. */
export interface Reader {
  /** Reads again, or asks for another turn. Returns how many bytes it will read at once, by what it read the last time. */
  resumeReading(): number;
}

/**
 * What greedy connections together may read in one turn; those for which nothing is left have the next one. It bounds
 * how long a turn lasts, and with it the delay of a thin flow, however many are greedy: some 5 ms of work.
 */
const TURN_BYTES = 2 * 1024 * 1024;

/**
 * One turn of the event loop: outboxes that were touched in it are flushed together at its end, and connections that
 * have used up their read budget read again afterwards. Both halves are needed under overload.
 */
export class LoopTurn {
  /** Counts turns, so that a connection can tell whether its budget is of this one. */
  number = 0;
  #touched: Flushable[] = [];
  /** Who waits to read: those of the round that goes on, from `#nextReader` on, and those of the next one. */
  #readers: Reader[] = [];
  #nextReader = 0;
  #nextRound: Reader[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#end();

  /** `flushable.flush()` is called at the end of this turn. The caller sees to it that it is not asked for twice. */
  flushAtEnd(flushable: Flushable): void {
    this.#touched.push(flushable);
    this.#schedule();
  }

  /** `reader.resumeReading()` is called after the flush of this turn, or of a later one when many want it. */
  resumeAtEnd(reader: Reader): void {
    this.#nextRound.push(reader);
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
    for (const flushable of touched) flush(flushable);
    this.#resumeReaders();
    if (this.#nextReader < this.#readers.length || this.#nextRound.length > 0) this.#schedule();
  }

  #resumeReaders(): void {
    if (this.#nextReader === this.#readers.length) {
      this.#readers = this.#nextRound;
      this.#nextRound = [];
      this.#nextReader = 0;
    }
    // Rounds are not mixed: the order in which the kernel reports sockets would favour some of them.
    for (let left = TURN_BYTES; left > 0 && this.#nextReader < this.#readers.length; this.#nextReader++) {
      left -= resumeReading(this.#readers[this.#nextReader]!);
    }
    if (this.#nextReader < this.#readers.length) return;
    this.#readers = [];
    this.#nextReader = 0;
  }
}

// What one connection throws must not keep the others of the turn from writing and reading.
function flush(flushable: Flushable): void {
  try {
    flushable.flush();
  } catch (error) {
    internalError('flush', error);
  }
}

function resumeReading(reader: Reader): number {
  try {
    return reader.resumeReading();
  } catch (error) {
    internalError('read', error);
    return 0;
  }
}
