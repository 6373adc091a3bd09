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
  stunWriteErrors: 10,
  /** Sends that failed, by reason. Sends that worked in another way are not counted. */
  sendBlocked: 11,
  sendRefused: 12,
  sendUnreachable: 13,
  sendTooLong: 14,
  sendFailed: 15,
  /** Sends in segments that the kernel or the path refused and that were repeated without: by EIO, and by EMSGSIZE. */
  segmentsRefused: 16,
  segmentsTooLong: 17,
  /** Sends whose local address was removed from the machine, repeated from the address that the kernel chose. */
  sourceGone: 18,
  /** Datagrams for a socket that is not open now. */
  socketDown: 19,
  socketErrors: 20,
  socketsReopened: 21,
  /** Turns of the loop that received something. */
  turns: 22,
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
