/** The counts of the UDP door. Each name is an index of the memory that {@link createDoorCounts} makes. */
export const DoorCount = {
  /** Datagrams and bytes that were received, as the kernel gave them: several of one sender may be one. */
  receivedBatches: 0,
  receivedBytes: 1,
  /** Messages that the kernel took, each of which may be cut into several datagrams. */
  sentBatches: 2,
  sentBytes: 3,
  /** Datagrams or their control data that did not fit, and were dropped. */
  truncated: 4,
  /** Datagrams that the kernel dropped because the door was behind. */
  kernelDropped: 5,
  stunIpv4: 6,
  stunIpv6: 7,
  stunNotStun: 8,
  stunRateLimited: 9,
  /** Sends that failed, by reason. Sends that worked in another way are not counted. */
  sendBlocked: 10,
  sendRefused: 11,
  sendUnreachable: 12,
  sendTooLong: 13,
  sendFailed: 14,
  /** Sends in segments that the kernel or the path refused and that were repeated without: by EIO, and by EMSGSIZE. */
  segmentsRefused: 15,
  segmentsTooLong: 16,
  /** Sends whose local address was removed from the machine, repeated from the address that the kernel chose. */
  sourceGone: 17,
  /** Datagrams for a socket that is not open now. */
  socketDown: 18,
  socketErrors: 19,
  socketsReopened: 20,
  /** Turns of the loop that received something. */
  turns: 21,
} as const;

/** A name of {@link DoorCount}. */
export type DoorCountName = keyof typeof DoorCount;

/** The counts of a door: one thread writes, all may read. */
export type DoorCounts = Float64Array<SharedArrayBuffer>;

/** Makes the counts, all zero, in memory that threads share. */
export function createDoorCounts(): DoorCounts {
  const size = Object.keys(DoorCount).length;
  return new Float64Array(new SharedArrayBuffer(size * Float64Array.BYTES_PER_ELEMENT));
}
