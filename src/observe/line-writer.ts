import { write, writeSync } from 'node:fs';
import { systemErrorCode } from '../base/errors.ts';

export interface LineWriterOptions {
  /** Lines are written when this many characters wait; 0 writes each line at once. */
  readonly blockLength: number;
  /** Longest time that a line waits, in milliseconds. */
  readonly everyMs: number;
  /** Called when writing works again, with the number of lost lines. */
  readonly onLost: (lines: number) => void;
}

/** Characters that may wait for a reader. Later lines are lost, and counted. */
const MAX_WAITING = 1_048_576;
/** A full pipe is tried again after this time. */
const RETRY_MS = 100;

/**
 * Writes lines to a file descriptor and never blocks: not on a full disk, not on a pipe without a reader, and not at
 * the end of the process. Lines that cannot be written are lost.
 */
export class LineWriter {
  readonly #fd: number;
  readonly #options: LineWriterOptions;
  readonly #flushed = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #lines: string[] = [];
  #waiting = 0;
  #isWriting = false;
  #isClosed = false;
  #lost = 0;

  constructor(fd: number, options: LineWriterOptions) {
    this.#fd = fd;
    this.#options = options;
    this.#timer = setInterval(() => this.#writeAll(), options.everyMs).unref();
    // After an uncaught error, this is the last chance to write waiting lines.
    process.once('exit', () => this.#writeAtExit());
  }

  /** Takes one line with its end. */
  write(line: string): void {
    if (this.#isClosed) return;
    if (this.#waiting + line.length > MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#lines.push(line);
    this.#waiting += line.length;
    if (this.#waiting > this.#options.blockLength) this.#writeAll();
  }

  /** Resolves when every line so far is written or lost, and after `limitMs` in any case. */
  async flush(limitMs: number): Promise<void> {
    if (this.#waiting === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, limitMs);
      const flushed = this.#flushed;
      function done(): void {
        clearTimeout(timer);
        flushed.delete(done);
        resolve();
      }
      flushed.add(done);
      this.#writeAll();
    });
  }

  /** Drops the lines that are not written yet. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#lines = [];
    this.#waiting = 0;
  }

  #writeAll(): void {
    if (this.#isWriting || this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#lines = [];
    this.#isWriting = true;
    this.#writeSome(Buffer.from(lines.join('')), lines);
  }

  #writeSome(bytes: Buffer, lines: readonly string[]): void {
    write(this.#fd, bytes, (error, written) => {
      if (this.#isClosed) return;
      if (error !== null && systemErrorCode(error) === 'EAGAIN') {
        setTimeout(() => this.#writeSome(bytes, lines), RETRY_MS).unref();
      } else if (error === null && written < bytes.length) {
        this.#writeSome(bytes.subarray(written), lines);
      } else {
        this.#written(lines, error === null);
      }
    });
  }

  #written(lines: readonly string[], isWell: boolean): void {
    this.#isWriting = false;
    for (const line of lines) this.#waiting -= line.length;
    if (!isWell) this.#lost += lines.length;
    else if (this.#lost > 0) this.#tellLost();
    if (this.#waiting > 0 && (this.#waiting > this.#options.blockLength || this.#flushed.size > 0)) this.#writeAll();
    if (this.#waiting > 0) return;
    for (const done of [...this.#flushed]) done();
  }

  #tellLost(): void {
    const lost = this.#lost;
    this.#lost = 0;
    this.#options.onLost(lost);
  }

  #writeAtExit(): void {
    // A running write may be blocked. This one would block, too.
    if (this.#isWriting || this.#lines.length === 0) return;
    try {
      writeSync(this.#fd, this.#lines.join(''));
    } catch {
      // This cannot be reported: the log itself has failed.
    }
  }
}
