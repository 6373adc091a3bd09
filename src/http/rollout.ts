/**
 * Which clients see a name that is being rolled out: the reference's own test, a PCG-DXSM generator seeded with the
 * client's address, so that a client gets the same answer from every server (protocol reference §5.5, §10.7).
 */
import { isLoopback, parseIp } from '../base/ip-address.ts';

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const INCREMENT = 0x5851f42d4c957f2d14057b7ef767814fn;
const OUTPUT_MULTIPLIER = 0xda942042e4dd58b5n;
const MANTISSA_BITS = 53;

/** Returns the number in [0, 1) that belongs to an address of 4 or 16 bytes. */
export function rolloutValue(ip: Buffer): number {
  const bytes = ip.length === 4 ? Buffer.concat([IPV4_MAPPED_PREFIX, ip]) : ip;
  const state = (bytes.readBigUInt64LE(0) << 64n) | bytes.readBigUInt64LE(8);
  const next = (state * MULTIPLIER + INCREMENT) & MASK_128;
  const low = next & MASK_64;
  let high = next >> 64n;
  high ^= high >> 32n;
  high = (high * OUTPUT_MULTIPLIER) & MASK_64;
  high ^= high >> 48n;
  high = (high * (low | 1n)) & MASK_64;
  return Number(BigInt.asUintN(MANTISSA_BITS, high)) / 2 ** MANTISSA_BITS;
}

const IPV4_MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/**
 * Returns whether the client at `ip` is among the `fraction` (0 to 1) of all. For a loopback client the answer is
 * random, for trials.
 */
export function isRolledOutTo(ip: string, fraction: number, random: () => number = Math.random): boolean {
  if (fraction <= 0) return false;
  if (fraction >= 1) return true;
  const bytes = parseIp(ip);
  if (bytes === null) return false;
  if (isLoopback(ip)) return random() < 0.5;
  return fraction > rolloutValue(bytes);
}
