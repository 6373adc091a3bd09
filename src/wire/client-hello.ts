/** The parts of a TLS ClientHello on which a server's certificate depends (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301). */

/** The result of parsing the first bytes of a connection. */
export type ClientHello =
  /** Not enough bytes yet to tell. */
  | { readonly kind: 'more' }
  /** Not a ClientHello, or an invalid or too large one. */
  | { readonly kind: 'other' }
  | {
      readonly kind: 'hello';
      /** As it was sent; empty when there is none. */
      readonly serverName: string;
      /** The offered ALPN protocols, best first. */
      readonly protocols: readonly string[];
    };

const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
/** Real ones have up to 2000 bytes. TLS libraries have the same limit. */
const MAX_HELLO_BYTES = 16_384;
/** A message may come in many small records; real clients use one or two. */
const MAX_RECORDS = 16;
const VERSION_AND_RANDOM_BYTES = 34;
const EXTENSION = { ServerName: 0, Alpn: 16 } as const;
const HOST_NAME = 0;

const MORE: ClientHello = { kind: 'more' };
const OTHER: ClientHello = { kind: 'other' };

/** Parses the first bytes of a connection. Never throws. */
export function parseClientHello(bytes: Buffer): ClientHello {
  const message = firstMessage(bytes);
  if (!Buffer.isBuffer(message)) return message;
  const hello = new Reader(message);
  hello.skip(VERSION_AND_RANDOM_BYTES);
  hello.skip(hello.number(1));
  hello.skip(hello.number(2));
  hello.skip(hello.number(1));
  let serverName = '';
  let protocols: string[] = [];
  // TLS 1.2 clients may leave the extensions out.
  const extensions = hello.hasMore ? new Reader(hello.take(hello.number(2))) : null;
  while (extensions?.hasMore === true) {
    const type = extensions.number(2);
    const body = new Reader(extensions.take(extensions.number(2)));
    if (type === EXTENSION.ServerName) serverName = readServerName(body);
    if (type === EXTENSION.Alpn) protocols = readProtocols(body);
    if (body.isBroken) return OTHER;
  }
  return hello.isBroken || extensions?.isBroken === true ? OTHER : { kind: 'hello', serverName, protocols };
}

/** Returns the body of the ClientHello, taken from its records. */
function firstMessage(bytes: Buffer): Buffer | ClientHello {
  const parts: Buffer[] = [];
  let at = 0;
  let have = 0;
  let wanted = MESSAGE_HEADER_BYTES;
  while (have < wanted) {
    if (at < bytes.length && bytes[at] !== HANDSHAKE_RECORD) return OTHER;
    if (bytes.length - at < RECORD_HEADER_BYTES) return MORE;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > MAX_HELLO_BYTES || parts.length === MAX_RECORDS) return OTHER;
    at += RECORD_HEADER_BYTES;
    const part = bytes.subarray(at, at + length);
    parts.push(part);
    have += part.length;
    at += length;
    if (wanted === MESSAGE_HEADER_BYTES && have >= MESSAGE_HEADER_BYTES) {
      const header = Buffer.concat(parts, MESSAGE_HEADER_BYTES);
      const size = header.readUIntBE(1, 3);
      if (header[0] !== CLIENT_HELLO || size > MAX_HELLO_BYTES) return OTHER;
      wanted += size;
    }
    if (part.length < length && have < wanted) return MORE;
  }
  const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  return whole.subarray(MESSAGE_HEADER_BYTES, wanted);
}

function readServerName(body: Reader): string {
  const names = new Reader(body.take(body.number(2)));
  let name = '';
  while (names.hasMore) {
    const type = names.number(1);
    const bytes = names.take(names.number(2));
    if (type === HOST_NAME) name = bytes.toString('latin1');
  }
  if (names.isBroken) body.isBroken = true;
  return name;
}

function readProtocols(body: Reader): string[] {
  const list = new Reader(body.take(body.number(2)));
  const protocols: string[] = [];
  while (list.hasMore) protocols.push(list.take(list.number(1)).toString('latin1'));
  if (list.isBroken) body.isBroken = true;
  return protocols;
}

/** Reads from front to back. After the end it returns zeros and stays invalid. */
class Reader {
  isBroken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return !this.isBroken && this.#at < this.#bytes.length;
  }

  /** A big-endian number of this many bytes. */
  number(size: number): number {
    const field = this.take(size);
    return this.isBroken ? 0 : field.readUIntBE(0, size);
  }

  skip(count: number): void {
    this.take(count);
  }

  take(count: number): Buffer {
    const start = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) this.isBroken = true;
    return this.#bytes.subarray(start, this.#at);
  }
}
