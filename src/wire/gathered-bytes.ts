const LEAST_BYTES = 512;
const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Collects bytes that arrive in pieces. The buffer doubles when it is full, so each byte is copied only a few times,
 * however small the pieces are. Joining all pieces each time would cost the square of their number.
 */
export class GatheredBytes {
  #buffer: Buffer = EMPTY;
  #length = 0;

  /** How many bytes there are. */
  get length(): number {
    return this.#length;
  }

  /** All bytes so far. Later pieces do not change them. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Adds bytes `[from, to)` of `piece`, copied. */
  add(piece: Buffer, from: number = 0, to: number = piece.length): void {
    const length = this.#length + to - from;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, length, 2 * this.#length));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#length, from, to);
    this.#length = length;
  }

  /** Adds a piece that is never written to again. The first one is not copied. */
  addOwned(piece: Buffer): void {
    if (this.#length > 0) {
      this.add(piece);
      return;
    }
    this.#buffer = piece;
    this.#length = piece.length;
  }
}
