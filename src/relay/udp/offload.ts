import { release } from 'node:os';

/**
 * What may be done with several datagrams at once. Node attributes of the relay and the kernel decide (addendum §8).
 */
export interface Offload {
  /** Whether the kernel may put datagrams of one sender together (UDP_GRO). */
  readonly gro: boolean;
  /** Whether the kernel may cut a message into datagrams (UDP_SEGMENT). */
  readonly gso: boolean;
  /** Whether a long row of datagrams of equal length gets one more datagram of one byte at its end. */
  readonly neverEqualTail: boolean;
}

/** Most datagrams of one message. Newer kernels send more. */
export const MAX_SEGMENTS = 64;
/** Bytes of one message in segments; IPv4 has 20 bytes of header less. */
export const MAX_SEGMENTED_BYTES = 65_507;
/** From this many equal datagrams on, the affected kernels spoil them. */
export const MIN_EQUAL_ROW = 8;
/** The byte of a single datagram at the end of such a row. Receivers drop it as too short. */
export const EQUAL_ROW_TAIL = 0x07;

const KERNEL = /^(\d+)\.(\d+)(?:\.(\d+))?/;

/**
 * Returns whether a kernel, as `uname -r` names it, spoils rows of datagrams that are all of equal length: 7.0.0 to
 * 7.1.4 (tailscale/tailscale#19777).
 */
export function spoilsEqualRows(release: string): boolean {
  const [, major = '', minor = '', patch = '0'] = KERNEL.exec(release) ?? [];
  if (major !== '7') return false;
  return minor === '0' || (minor === '1' && Number(patch) <= 4);
}

/** Returns the offload that works on this machine: no equal rows with a kernel that spoils them. */
export function soundOffload(offload: Offload): Offload {
  return { ...offload, neverEqualTail: offload.neverEqualTail || spoilsEqualRows(release()) };
}
