import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** More than the length of any /proc file that is read here. */
const BUFFER_BYTES = 8192;

/** A small file of /proc that is opened once, so that it can be read even when the process has no free descriptor. */
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

  /** Returns its present text; null when there is no such file. */
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

/** Returns the present text of a small system file, for example in /proc; null when it cannot be read. */
export function readSystemFile(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

/** The resident memory in the text of `/proc/PID/status`, in bytes; null when it is not in it. */
export function residentBytesIn(status: string): number | null {
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** A row of `/proc/net/tcp` or `/proc/net/udp`. */
export interface SocketRow {
  /** `ADDRESS:PORT` in hexadecimal. */
  readonly local: string;
  readonly state: string;
  readonly inode: string;
}

/** The sockets in the text of `/proc/net/tcp`, `udp`, `tcp6` or `udp6`. */
export function socketRows(table: string): SocketRow[] {
  const [, ...rows] = table.trimEnd().split('\n');
  return rows.map((row) => {
    const [, local = '', , state = '', , , , , , inode = ''] = row.trim().split(/\s+/);
    return { local, state, inode };
  });
}
