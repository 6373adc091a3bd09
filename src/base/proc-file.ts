import { closeSync, openSync, readSync } from 'node:fs';

/** More than the files of a process in /proc have that are read here. */
const BUFFER_BYTES = 8192;

/** A small file of /proc that is opened once, so that it can still be read when no descriptor is left. */
export class ProcFile {
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #descriptor: number | null;

  constructor(path: string) {
    try {
      this.#descriptor = openSync(path, 'r');
    } catch {
      this.#descriptor = null;
    }
  }

  /** What it says now; null where there is no such file, as without /proc. */
  read(): string | null {
    if (this.#descriptor === null) return null;
    try {
      return this.#buffer.toString('latin1', 0, readSync(this.#descriptor, this.#buffer, 0, BUFFER_BYTES, 0));
    } catch {
      return null;
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }
}
