/**
 * The Geneve header in front of everything that a peer relay carries over UDP (peer relay reference §4, RFC 8926): 8
 * bytes without options. The functions work on raw bytes and cost no allocation.
 */

export const GENEVE_BYTES = 8;
/** The largest number of an endpoint (VNI), which has 24 bits. 0 is not used. */
export const MAX_VNI = 0xff_ff_ff;

/** The protocol of the bytes after the header. */
export const GeneveProtocol = { Disco: 0x7a11, WireGuard: 0x7a12 } as const;
export type GeneveProtocol = (typeof GeneveProtocol)[keyof typeof GeneveProtocol];

const CONTROL_BIT = 0x80;
/** Both protocols have this first byte; the second tells them apart. */
const PROTOCOL_HEAD = 0x7a;
const DISCO_TAIL = 0x11;
const WIREGUARD_TAIL = 0x12;

/**
 * True when `[from, to)` starts with a header as clients write it: version and option length 0, no bit set except
 * "control", one of the two protocols, and disco when it is a control packet.
 */
export function isGeneve(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < GENEVE_BYTES || bytes[from] !== 0 || bytes[from + 7] !== 0) return false;
  if (bytes[from + 2] !== PROTOCOL_HEAD) return false;
  const flags = bytes[from + 1]!;
  const tail = bytes[from + 3]!;
  if (flags === 0) return tail === WIREGUARD_TAIL || tail === DISCO_TAIL;
  return flags === CONTROL_BIT && tail === DISCO_TAIL;
}

/** Whether the header at `from` is one of a control packet: bind, challenge, answer. */
export function isGeneveControl(bytes: Uint8Array, from: number): boolean {
  return (bytes[from + 1]! & CONTROL_BIT) !== 0;
}

/** Returns the number of the endpoint in the header at `from`. */
export function geneveVni(bytes: Uint8Array, from: number): number {
  return (bytes[from + 4]! << 16) | (bytes[from + 5]! << 8) | bytes[from + 6]!;
}

/** Writes a header to `out`, which has room for {@link GENEVE_BYTES} at `at`. */
export function writeGeneveHeader(
  out: Uint8Array,
  at: number,
  vni: number,
  protocol: GeneveProtocol,
  isControl: boolean,
): void {
  out[at] = 0;
  out[at + 1] = isControl ? CONTROL_BIT : 0;
  out[at + 2] = protocol >> 8;
  out[at + 3] = protocol & 0xff;
  out[at + 4] = vni >> 16;
  out[at + 5] = (vni >> 8) & 0xff;
  out[at + 6] = vni & 0xff;
  out[at + 7] = 0;
}
