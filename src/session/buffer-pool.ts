/**
 * Buffers for outboxes, in classes that grow by four, kept for reuse. Thin flows touch 4 KiB, busy ones 64 KiB; an idle
 * connection holds none (performance.md §2.2: a pool that is too small costs 1.6–2.1 × on thin flows).
 */

/** Smallest class in bytes; the next ones are 4, 16 and 64 times as large. */
const SMALLEST_BUFFER_BYTES = 4096;
/** How many free bytes each class may hold on to. */
const POOLED_BYTES_PER_CLASS = 16 * 1024 * 1024;
const CLASS_COUNT = 4;

const free: Buffer[][] = Array.from({ length: CLASS_COUNT }, () => []);

function classOf(bytes: number): number {
  let size = SMALLEST_BUFFER_BYTES;
  for (let index = 0; index < CLASS_COUNT; index++, size *= 4) if (bytes <= size) return index;
  return -1;
}

/** A buffer of at least `bytes`, its content undefined. Larger ones than the largest class are not pooled. */
export function takeBuffer(bytes: number): Buffer {
  const index = classOf(bytes);
  if (index < 0) return Buffer.allocUnsafeSlow(bytes);
  return free[index]!.pop() ?? Buffer.allocUnsafeSlow(SMALLEST_BUFFER_BYTES * 4 ** index);
}

/** Gives back what {@link takeBuffer} gave; nobody may hold a view of it. */
export function giveBuffer(buffer: Buffer): void {
  const index = classOf(buffer.length);
  if (index >= 0 && free[index]!.length * buffer.length < POOLED_BYTES_PER_CLASS) free[index]!.push(buffer);
}
