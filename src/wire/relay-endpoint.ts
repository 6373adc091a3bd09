import { KEY_BYTES } from './frames.ts';
import { canonicalIp, formatIp, writeIp } from '../base/ip-address.ts';

/** An IP and a port in disco messages (peer relay reference §3.3): 16 bytes, with IPv4 in mapped form, and 2 bytes. */
export const SOCKET_ADDRESS_BYTES = 18;
const IP_BYTES = 16;
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

const LAMPORT_OFFSET = 3 * KEY_BYTES;
const VNI_OFFSET = LAMPORT_OFFSET + 8;
const BIND_LIFETIME_OFFSET = VNI_OFFSET + 4;
const STEADY_LIFETIME_OFFSET = BIND_LIFETIME_OFFSET + 8;
const ADDRESSES_OFFSET = STEADY_LIFETIME_OFFSET + 8;
const NANOSECONDS_PER_MS = 1_000_000n;

export interface SocketAddress {
  /** Canonical text. */
  readonly ip: string;
  readonly port: number;
}

/** An endpoint of a relay. One client gets it from the relay and sends it to the other client (peer relay §3.3). */
export interface RelayEndpoint {
  /** The disco key of the relay for the binding. */
  readonly serverDisco: Buffer;
  /** The disco keys of the two clients, in ascending order of their bytes. */
  readonly clientKeys: readonly [Buffer, Buffer];
  /** Of two endpoints with the same `serverDisco`, the later one has the higher number. */
  readonly lamportId: bigint;
  readonly vni: number;
  /** Time that the clients have to bind. */
  readonly bindLifetimeMs: number;
  /** Time until it ends when one side is silent. */
  readonly steadyLifetimeMs: number;
  /** Addresses of the relay: at least one. */
  readonly addresses: readonly SocketAddress[];
}

/** Returns the bytes of an endpoint. Throws a RangeError when it has no address, because clients refuse that. */
export function encodeRelayEndpoint(endpoint: RelayEndpoint): Buffer {
  const { addresses } = endpoint;
  if (addresses.length === 0) throw new RangeError('a relay endpoint needs an address');
  const bytes = Buffer.alloc(ADDRESSES_OFFSET + addresses.length * SOCKET_ADDRESS_BYTES);
  bytes.set(endpoint.serverDisco, 0);
  bytes.set(endpoint.clientKeys[0], KEY_BYTES);
  bytes.set(endpoint.clientKeys[1], 2 * KEY_BYTES);
  bytes.writeBigUInt64BE(endpoint.lamportId, LAMPORT_OFFSET);
  bytes.writeUInt32BE(endpoint.vni, VNI_OFFSET);
  bytes.writeBigInt64BE(BigInt(endpoint.bindLifetimeMs) * NANOSECONDS_PER_MS, BIND_LIFETIME_OFFSET);
  bytes.writeBigInt64BE(BigInt(endpoint.steadyLifetimeMs) * NANOSECONDS_PER_MS, STEADY_LIFETIME_OFFSET);
  addresses.forEach((address, i) => writeSocketAddress(bytes, ADDRESSES_OFFSET + i * SOCKET_ADDRESS_BYTES, address));
  return bytes;
}

/** Reads an endpoint that fills `bytes`; null when it has no address or its length does not fit. Keys are views. */
export function decodeRelayEndpoint(bytes: Buffer): RelayEndpoint | null {
  const count = (bytes.length - ADDRESSES_OFFSET) / SOCKET_ADDRESS_BYTES;
  if (count < 1 || !Number.isInteger(count)) return null;
  const addresses: SocketAddress[] = [];
  for (let i = 0; i < count; i++) addresses.push(readSocketAddress(bytes, ADDRESSES_OFFSET + i * SOCKET_ADDRESS_BYTES));
  return {
    serverDisco: bytes.subarray(0, KEY_BYTES),
    clientKeys: [bytes.subarray(KEY_BYTES, 2 * KEY_BYTES), bytes.subarray(2 * KEY_BYTES, 3 * KEY_BYTES)],
    lamportId: bytes.readBigUInt64BE(LAMPORT_OFFSET),
    vni: bytes.readUInt32BE(VNI_OFFSET),
    bindLifetimeMs: Number(bytes.readBigInt64BE(BIND_LIFETIME_OFFSET) / NANOSECONDS_PER_MS),
    steadyLifetimeMs: Number(bytes.readBigInt64BE(STEADY_LIFETIME_OFFSET) / NANOSECONDS_PER_MS),
    addresses,
  };
}

/**
 * Writes an address to `out`, which has room for {@link SOCKET_ADDRESS_BYTES} at `at`. Throws a RangeError when `ip` is
 * not an IP address or `port` is not a port.
 */
export function writeSocketAddress(out: Buffer, at: number, { ip, port }: SocketAddress): void {
  const length = writeIp(out, at, ip);
  if (length === 0) throw new RangeError(`${ip} is not an IP address`);
  if (length < IP_BYTES) {
    out.copyWithin(at + MAPPED_PREFIX.length, at, at + length);
    out.set(MAPPED_PREFIX, at);
  }
  out.writeUInt16BE(port, at + IP_BYTES);
}

/** Reads the {@link SOCKET_ADDRESS_BYTES} bytes at `at`. Throws a RangeError when there are fewer. */
export function readSocketAddress(bytes: Buffer, at: number): SocketAddress {
  const ip = canonicalIp(formatIp(bytes.subarray(at, at + IP_BYTES)));
  return { ip, port: bytes.readUInt16BE(at + IP_BYTES) };
}
