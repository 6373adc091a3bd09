import { Duplex } from 'node:stream';
import { NoiseCipher, NoiseError, NoiseMessage, NOISE_HEADER_BYTES, type NoiseKeys } from './noise.ts';

/** A record has at most 4096 bytes (peer-relay reference §13.4). */
const RECORD_BYTES = 4096;
const TAG_BYTES = 16;
const PLAIN_BYTES = RECORD_BYTES - NOISE_HEADER_BYTES - TAG_BYTES;
/** The start of an early payload (§13.5): magic(5), length(4), which is as long as the header of an HTTP/2 frame. */
const EARLY_MAGIC = Buffer.from('ffffff5453', 'hex');
const EARLY_HEADER_BYTES = 9;
/** Largest early payload, as upstream. It is skipped and not kept. */
const EARLY_PAYLOAD_BYTES = 10 * 1024 * 1024;

type Role = 'client' | 'server';

/**
 * The bytes inside the Noise records of `socket`, as a stream for HTTP/2. A client skips the server's early payload. A
 * record that does not authenticate destroys both streams.
 */
export class NoiseStream extends Duplex {
  readonly #socket: Duplex;
  readonly #sending: NoiseCipher;
  readonly #receiving: NoiseCipher;
  /** Bytes of an incomplete record. */
  #pending: Buffer;
  /** The start of the plaintext, until it is long enough to recognise an early payload; null afterwards. */
  #start: Buffer | null;
  /** Bytes of the early payload that are still to come. */
  #toSkip = 0;

  /** `first`: bytes that were already read from the socket after the handshake. */
  constructor(socket: Duplex, keys: NoiseKeys, first: Buffer, role: Role = 'client') {
    super({ allowHalfOpen: false });
    const isClient = role === 'client';
    this.#socket = socket;
    this.#sending = new NoiseCipher(isClient ? keys.clientToServer : keys.serverToClient);
    this.#receiving = new NoiseCipher(isClient ? keys.serverToClient : keys.clientToServer);
    this.#start = isClient ? Buffer.alloc(0) : null;
    this.#pending = first;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
    socket.pause();
    if (first.length > 0) queueMicrotask(() => this.#received(Buffer.alloc(0)));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const records: Uint8Array[] = [];
    for (let from = 0; from < chunk.length; from += PLAIN_BYTES) {
      const sealed = this.#sending.seal(chunk.subarray(from, from + PLAIN_BYTES));
      records.push(Buffer.from([NoiseMessage.Record, sealed.length >> 8, sealed.length & 0xff]), sealed);
    }
    this.#socket.write(Buffer.concat(records), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #received(chunk: Buffer): void {
    if (this.destroyed) return;
    try {
      this.#read(this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]));
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  #read(bytes: Buffer): void {
    let at = 0;
    while (bytes.length - at >= NOISE_HEADER_BYTES) {
      const length = bytes.readUInt16BE(at + 1);
      const end = at + NOISE_HEADER_BYTES + length;
      if (bytes[at] !== NoiseMessage.Record || length < TAG_BYTES || end - at > RECORD_BYTES)
        throw new NoiseError('the control server sent something that is not a record');
      if (end > bytes.length) break;
      const plain = this.#receiving.open(bytes.subarray(at + NOISE_HEADER_BYTES, end));
      this.#give(Buffer.from(plain.buffer, plain.byteOffset, plain.length));
      at = end;
    }
    this.#pending = Buffer.from(bytes.subarray(at));
  }

  #give(plain: Buffer): void {
    let rest = this.#start === null ? plain : this.#withoutEarlyHeader(this.#start, plain);
    if (this.#toSkip > 0) {
      const skipped = Math.min(this.#toSkip, rest.length);
      this.#toSkip -= skipped;
      rest = rest.subarray(skipped);
    }
    if (rest.length > 0 && !this.push(rest)) this.#socket.pause();
  }

  #withoutEarlyHeader(start: Buffer, plain: Buffer): Buffer {
    const bytes = Buffer.concat([start, plain]);
    if (bytes.length < EARLY_HEADER_BYTES) {
      this.#start = bytes;
      return bytes.subarray(bytes.length);
    }
    this.#start = null;
    if (!bytes.subarray(0, EARLY_MAGIC.length).equals(EARLY_MAGIC)) return bytes;
    this.#toSkip = bytes.readUInt32BE(EARLY_MAGIC.length);
    if (this.#toSkip > EARLY_PAYLOAD_BYTES) throw new NoiseError('the early payload of the control server is too long');
    return bytes.subarray(EARLY_HEADER_BYTES);
  }
}
