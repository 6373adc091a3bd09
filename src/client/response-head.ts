import { upgradeError } from './errors.ts';

/** Ours and derper's heads are under 300 bytes; proxies add theirs. */
const MAX_HEAD_BYTES = 16_384;
const HEAD_END = Buffer.from('\r\n\r\n');
const HTTP_START = Buffer.from('HTTP/');
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/;

/** A parsed response head. */
export interface ResponseHead {
  readonly status: number;
  /** The reason phrase. */
  readonly text: string;
  /** By lower-case name; of repeated headers the last. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Collects the start of what a relay answers: an HTTP response head, or in fast start DERP frames at once (§1.2).
 * Bytes after the head are kept, because they are the start of the DERP stream.
 */
export class ResponseStart {
  #bytes: Buffer = Buffer.alloc(0);

  /** Adds bytes `[from, to)`. */
  push(buffer: Buffer, from: number, to: number): void {
    this.#bytes = Buffer.concat([this.#bytes, buffer.subarray(from, to)]);
  }

  /** All bytes so far. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** True when this is no HTTP, null while too few bytes are there to tell. */
  get isRaw(): boolean | null {
    const known = Math.min(HTTP_START.length, this.#bytes.length);
    if (!this.#bytes.subarray(0, known).equals(HTTP_START.subarray(0, known))) return true;
    return known < HTTP_START.length ? null : false;
  }

  /** The head and what follows it, or null when it is not complete. Throws when it is no head or too long. */
  take(): { head: ResponseHead; rest: Buffer } | null {
    if (this.isRaw === true) throw upgradeError('the answer is not HTTP');
    const end = this.#bytes.indexOf(HEAD_END);
    if (end > MAX_HEAD_BYTES || (end < 0 && this.#bytes.length > MAX_HEAD_BYTES)) {
      throw upgradeError(`the response head is longer than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end < 0) return null;
    const head = parseHead(this.#bytes.toString('latin1', 0, end));
    return { head, rest: this.#bytes.subarray(end + HEAD_END.length) };
  }
}

function parseHead(text: string): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n');
  const match = STATUS_LINE.exec(first);
  if (match === null) throw upgradeError('the answer is not HTTP/1');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(match[1]), text: match[2] ?? '', headers };
}
