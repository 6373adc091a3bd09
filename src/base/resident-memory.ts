import { ProcFile, residentBytesIn } from './proc-file.ts';

/** Resident memory of this process, read without a new descriptor. */
export class ResidentMemory {
  readonly #status = new ProcFile('/proc/self/status');
  #bytes = 0;

  /** Bytes; the last known value where they cannot be read, and 0 before the first. */
  get bytes(): number {
    const text = this.#status.read();
    this.#bytes = (text === null ? null : residentBytesIn(text)) ?? byRuntime() ?? this.#bytes;
    return this.#bytes;
  }

  close(): void {
    this.#status.close();
  }
}

/** Null where the runtime cannot tell: on Linux it opens a file of /proc for each call. */
function byRuntime(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}
