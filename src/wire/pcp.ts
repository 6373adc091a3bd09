/**
 * Messages of the two protocols that ask a router to forward a port: PCP (RFC 6887, the MAP opcode) and its predecessor
 * NAT-PMP (RFC 6886). For UDP over IPv4. Requests go to UDP port 5351 of the router.
 */
import { canonicalIp, formatIp, writeIp } from '../base/ip-address.ts';

export const PCP_PORT = 5351;
/** Bytes of the nonce that ties a mapping to the client that made it. */
export const PCP_NONCE_BYTES = 12;

const PCP_VERSION = 2;
const PMP_VERSION = 0;
const MAP = 1;
const ANSWER = 0x80;
const PCP_MAP_BYTES = 60;
const NONCE_AT = 24;
const PMP_ADDRESS = 0;
const PMP_MAP_UDP = 1;
const UDP = 17;
const UNSUPPORTED_VERSION = 1;

/** What a router answered. */
export type PortMappingAnswer =
  /** With NAT-PMP, `ip` and `nonce` are null: another answer has the address, and there is no nonce. */
  | {
      readonly kind: 'mapped';
      readonly nonce: Buffer | null;
      readonly internalPort: number;
      readonly port: number;
      readonly ip: string | null;
      readonly lifetimeSeconds: number;
    }
  /** NAT-PMP: the public address of the router. */
  | { readonly kind: 'address'; readonly ip: string }
  /** The router does not speak this version. */
  | { readonly kind: 'version' }
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string };

const PCP_REASONS: Readonly<Record<number, string>> = {
  2: 'not authorized',
  3: 'malformed request',
  4: 'unsupported opcode',
  5: 'unsupported option',
  7: 'network failure',
  8: 'no resources',
  9: 'unsupported protocol',
  10: 'too many mappings',
  11: 'external address cannot be provided',
  12: 'address mismatch: there is another NAT in between',
};
const PMP_REASONS: Readonly<Record<number, string>> = {
  2: 'not authorized',
  3: 'network failure',
  4: 'no resources',
  5: 'unsupported opcode',
};

/** A PCP request to map a UDP port. `clientIp` is the IPv4 address that it is sent from; lifetime 0 ends the mapping. */
export function encodePcpMap(
  clientIp: string,
  nonce: Uint8Array,
  internalPort: number,
  wantedPort: number,
  lifetimeSeconds: number,
): Buffer {
  const request = Buffer.alloc(PCP_MAP_BYTES);
  request[0] = PCP_VERSION;
  request[1] = MAP;
  request.writeUInt32BE(lifetimeSeconds, 4);
  writeMapped(request, 8, clientIp);
  request.set(nonce.subarray(0, PCP_NONCE_BYTES), NONCE_AT);
  request[36] = UDP;
  request.writeUInt16BE(internalPort, 40);
  request.writeUInt16BE(wantedPort, 42);
  writeMapped(request, 44, '0.0.0.0');
  return request;
}

/** A NAT-PMP request for the public address of the router. */
export function encodePmpAddress(): Buffer {
  return Buffer.from([PMP_VERSION, PMP_ADDRESS]);
}

/** A NAT-PMP request to map a UDP port. */
export function encodePmpMap(internalPort: number, wantedPort: number, lifetimeSeconds: number): Buffer {
  const request = Buffer.alloc(12);
  request[0] = PMP_VERSION;
  request[1] = PMP_MAP_UDP;
  request.writeUInt16BE(internalPort, 4);
  request.writeUInt16BE(wantedPort, 6);
  request.writeUInt32BE(lifetimeSeconds, 8);
  return request;
}

/** Reads `[from, to)` as an answer of either protocol; null when it is not one. */
export function decodePortMappingAnswer(buffer: Buffer, from: number, to: number): PortMappingAnswer | null {
  const bytes = buffer.subarray(from, to);
  if (bytes.length < 8 || (bytes[1]! & ANSWER) === 0) return null;
  return bytes[0] === PCP_VERSION ? decodePcp(bytes) : bytes[0] === PMP_VERSION ? decodePmp(bytes) : null;
}

function decodePcp(bytes: Buffer): PortMappingAnswer | null {
  if (bytes[1] !== (ANSWER | MAP) || bytes.length < 24) return null;
  const code = bytes[3]!;
  if (code === UNSUPPORTED_VERSION) return { kind: 'version' };
  if (code !== 0) return { kind: 'refused', code, reason: PCP_REASONS[code] ?? `result code ${code}` };
  if (bytes.length < PCP_MAP_BYTES || bytes[36] !== UDP) return null;
  return {
    kind: 'mapped',
    nonce: Buffer.from(bytes.subarray(NONCE_AT, NONCE_AT + PCP_NONCE_BYTES)),
    internalPort: bytes.readUInt16BE(40),
    port: bytes.readUInt16BE(42),
    ip: canonicalIp(formatIp(bytes.subarray(44, 60))),
    lifetimeSeconds: bytes.readUInt32BE(4),
  };
}

function decodePmp(bytes: Buffer): PortMappingAnswer | null {
  const code = bytes.readUInt16BE(2);
  if (code === UNSUPPORTED_VERSION) return { kind: 'version' };
  if (code !== 0) return { kind: 'refused', code, reason: PMP_REASONS[code] ?? `result code ${code}` };
  if (bytes[1] === (ANSWER | PMP_ADDRESS) && bytes.length >= 12)
    return { kind: 'address', ip: formatIp(bytes.subarray(8, 12)) };
  if (bytes[1] !== (ANSWER | PMP_MAP_UDP) || bytes.length < 16) return null;
  return {
    kind: 'mapped',
    nonce: null,
    internalPort: bytes.readUInt16BE(8),
    port: bytes.readUInt16BE(10),
    ip: null,
    lifetimeSeconds: bytes.readUInt32BE(12),
  };
}

/** An IPv4 address in its IPv4-mapped form. */
function writeMapped(out: Buffer, at: number, ip: string): void {
  out.fill(0xff, at + 10, at + 12);
  writeIp(out, at + 12, ip);
}
