import { DIGITS, withoutBlanks } from '../wire/character-set.ts';
import { GatheredBytes } from '../wire/gathered-bytes.ts';
import { upgradeError } from './errors.ts';

/** Ours and derper's heads are under 300 bytes; proxies add theirs. */
const MAX_HEAD_BYTES = 16_384;
const HEAD_END = Buffer.from('\r\n\r\n');
const HTTP_START = Buffer.from('HTTP/');
const VERSIONS: readonly string[] = ['HTTP/1.0 ', 'HTTP/1.1 '];
const VERSION_LENGTH = 9;
const STATUS_DIGITS = 3;

/** A parsed response head. */
export interface ResponseHead {
  readonly status: number;
  /** The reason phrase. */
  readonly text: string;
  /** By lower-case name; of repeated headers the last. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Collects the start of a relay's answer: an HTTP response head, or with a fast start DERP frames at once (§1.2). Bytes
 * after the head are kept, because they are the start of the DERP stream.
 */
export class ResponseStart {
  readonly #bytes = new GatheredBytes();
  /** The head does not end before this offset. */
  #searched = 0;

  /** Adds bytes `[from, to)`. */
  push(buffer: Buffer, from: number, to: number): void {
    this.#bytes.add(buffer, from, to);
  }

  /** All bytes so far. */
  get bytes(): Buffer {
    return this.#bytes.bytes;
  }

  /** True when the answer is not HTTP; null while there are too few bytes to tell. */
  get isRaw(): boolean | null {
    const { bytes } = this.#bytes;
    const known = Math.min(HTTP_START.length, bytes.length);
    if (!bytes.subarray(0, known).equals(HTTP_START.subarray(0, known))) return true;
    return known < HTTP_START.length ? null : false;
  }

  /**
   * Returns the head and the bytes after it, or null when the head is not complete. Throws when it is invalid or too
   * long.
   */
  take(): { head: ResponseHead; rest: Buffer } | null {
    if (this.isRaw === true) throw upgradeError('the answer is not HTTP');
    const { bytes } = this.#bytes;
    const end = bytes.indexOf(HEAD_END, this.#searched);
    if (end > MAX_HEAD_BYTES || (end < 0 && bytes.length > MAX_HEAD_BYTES)) {
      throw upgradeError(`the response head is longer than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end < 0) {
      this.#searched = Math.max(0, bytes.length - HEAD_END.length + 1);
      return null;
    }
    const head = parseHead(bytes.toString('latin1', 0, end));
    return { head, rest: bytes.subarray(end + HEAD_END.length) };
  }
}

function parseHead(text: string): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n');
  const status = first.slice(VERSION_LENGTH, VERSION_LENGTH + STATUS_DIGITS);
  const separator = first.slice(VERSION_LENGTH + STATUS_DIGITS, VERSION_LENGTH + STATUS_DIGITS + 1);
  const isHttp1 = VERSIONS.includes(first.slice(0, VERSION_LENGTH));
  if (!isHttp1 || !DIGITS.holds(status, STATUS_DIGITS) || (separator !== '' && separator !== ' ')) {
    throw upgradeError('the answer is not HTTP/1');
  }
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), withoutBlanks(line, colon + 1, line.length));
  }
  return { status: Number(status), text: first.slice(VERSION_LENGTH + STATUS_DIGITS + 1), headers };
}
