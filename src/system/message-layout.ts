/** Layout of `struct mmsghdr`, `iovec` and `cmsghdr` on 64-bit Linux, as offsets in bytes. */

export const MESSAGE_BYTES = 64;
export const NAME_AT = 0;
export const NAME_LENGTH_AT = 8;
export const VECTORS_AT = 16;
export const VECTOR_COUNT_AT = 24;
export const CONTROL_AT = 32;
export const CONTROL_LENGTH_AT = 40;
export const FLAGS_AT = 48;
/** Number of bytes of a message that were received or sent. */
export const LENGTH_AT = 56;

export const VECTOR_BYTES = 16;
export const VECTOR_LENGTH_AT = 8;

/** A control message starts with its length (64 bits), level and type (32 bits each). */
export const CONTROL_HEADER_BYTES = 16;

/** Returns the space of a control message. Control messages begin at multiples of 8. */
export function controlSpace(dataBytes: number): number {
  return (CONTROL_HEADER_BYTES + dataBytes + 7) & ~7;
}
