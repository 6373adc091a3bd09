import { internalError } from '../../base/errors.ts';

/** Something with bytes to write at the end of the turn. */
export interface Flushable {
  flush(): void;
}

/** A reader that was paused because it used up its read budget. */
export interface Reader {
  /** Reads again, or asks for another turn. Returns how many bytes it will probably read: as many as the last time. */
  resumeReading(): number;
}

/**
 * Bytes that all resumed readers together may read in one turn; the others continue in the next one. It limits the
 * length of a turn, and so the delay of thin flows, to about 5 ms of work for any number of greedy senders.
 */
const TURN_BYTES = 2 * 1024 * 1024;

/**
 * One turn of the event loop: outboxes that were touched in it are flushed together at its end, and connections that
 * have used up their read budget read again afterwards. Both halves are needed under overload.
 */
export class LoopTurn {
  /** Number of turns, so that a connection knows whether its budget belongs to this one. */
  number = 0;
  #touched: Flushable[] = [];
  /** Waiting readers: those of the present round, from `#nextReader` on, and those of the next round. */
  #readers: Reader[] = [];
  #nextReader = 0;
  #nextRound: Reader[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#end();

  /** `flushable.flush()` is called at the end of this turn. The caller must not ask twice. */
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

// An exception of one connection must not stop the others of the turn.
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
