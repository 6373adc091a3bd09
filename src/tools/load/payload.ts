import { crc32 } from 'node:zlib';

/**
 * The payload of every packet of a load: `magic(4) run(4) pair(4) sequence(4) time(8, double) checksum(4) filler`. The
 * checksum (CRC-32) covers the filler and then all bytes before the checksum, so that a sender can start from the
 * filler's checksum, which never changes.
 */
const MAGIC = 0x746f7761;
const RUN_AT = 4;
const PAIR_AT = 8;
const SEQUENCE_AT = 12;
const TIME_AT = 16;
const CHECKSUM_AT = 24;

/** Bytes before the filler: the smallest packet of a load. */
export const PAYLOAD_HEADER_BYTES = 28;

/** The fault of a packet that arrived. */
export const PacketFault = {
  /** Nothing. */
  None: 0,
  /** Length, filler, checksum or source key differ from those that were sent. */
  Corrupted: 1,
  /** Whole, but of another pair or another run. */
  Misrouted: 2,
} as const;
export type PacketFault = (typeof PacketFault)[keyof typeof PacketFault];

/** The packets of one pair: writes and checks them in place. All have the same size and the same filler. */
export class PacketShape {
  readonly bytes: number;
  readonly #run: number;
  readonly #pair: number;
  readonly #filler: Buffer;
  readonly #fillerCrc: number;

  /** For packets of `bytes` bytes, at least {@link PAYLOAD_HEADER_BYTES}, of pair number `pair` in run `run`. */
  constructor(bytes: number, run: number, pair: number) {
    this.bytes = bytes;
    this.#run = run;
    this.#pair = pair;
    this.#filler = Buffer.allocUnsafeSlow(bytes - PAYLOAD_HEADER_BYTES);
    for (let i = 0; i < this.#filler.length; i++) this.#filler[i] = (i * 7 + pair * 13 + (i >> 8)) & 0xff;
    this.#fillerCrc = crc32(this.#filler);
  }

  /** Writes the constant parts of a packet at `at` of `buffer`. */
  prepare(buffer: Buffer, at: number): void {
    buffer.writeUInt32BE(MAGIC, at);
    buffer.writeUInt32BE(this.#run, at + RUN_AT);
    buffer.writeUInt32BE(this.#pair, at + PAIR_AT);
    buffer.set(this.#filler, at + PAYLOAD_HEADER_BYTES);
  }

  /** Writes sequence number and time (milliseconds) and the checksum into a packet prepared at `at`. */
  stamp(buffer: Buffer, at: number, sequence: number, timeMs: number): void {
    buffer.writeUInt32BE(sequence, at + SEQUENCE_AT);
    buffer.writeDoubleBE(timeMs, at + TIME_AT);
    buffer.writeUInt32BE(crc32(buffer.subarray(at, at + CHECKSUM_AT), this.#fillerCrc), at + CHECKSUM_AT);
  }

  /** What is wrong with the packet `[from, to)`. */
  check(buffer: Buffer, from: number, to: number): PacketFault {
    if (to - from < PAYLOAD_HEADER_BYTES || buffer.readUInt32BE(from) !== MAGIC) return PacketFault.Corrupted;
    const isOwn =
      buffer.readUInt32BE(from + RUN_AT) === this.#run && buffer.readUInt32BE(from + PAIR_AT) === this.#pair;
    const checksum = buffer.readUInt32BE(from + CHECKSUM_AT);
    if (!isOwn) {
      const fillerCrc = crc32(buffer.subarray(from + PAYLOAD_HEADER_BYTES, to));
      const isWhole = crc32(buffer.subarray(from, from + CHECKSUM_AT), fillerCrc) === checksum;
      return isWhole ? PacketFault.Misrouted : PacketFault.Corrupted;
    }
    // Comparing with the known filler is faster than its checksum, and finds more.
    const isWhole =
      to - from === this.bytes &&
      this.#filler.compare(buffer, from + PAYLOAD_HEADER_BYTES, to) === 0 &&
      crc32(buffer.subarray(from, from + CHECKSUM_AT), this.#fillerCrc) === checksum;
    return isWhole ? PacketFault.None : PacketFault.Corrupted;
  }
}

/** The sequence number of the checked packet at `from`. */
export function sequenceOf(buffer: Buffer, from: number): number {
  return buffer.readUInt32BE(from + SEQUENCE_AT);
}

/** The time of the checked packet at `from`, in milliseconds of its sender's clock. */
export function timeOf(buffer: Buffer, from: number): number {
  return buffer.readDoubleBE(from + TIME_AT);
}
