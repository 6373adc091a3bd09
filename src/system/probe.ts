import { Arena } from './arena.ts';
import { MSG_DONTWAIT, SystemCallError } from './linux.ts';
import { PollSet } from './poll-set.ts';
import type { SystemCalls } from './port.ts';
import { ReceiveBatch } from './receive-batch.ts';
import { SendBatch } from './send-batch.ts';
import { writeSockaddr } from './sockaddr.ts';
import { UdpOpener, type UdpSocket } from './udp-opener.ts';
import { Wake } from './wake.ts';

/** What the machine can do for batches of datagrams. */
export type SystemProbe =
  | { readonly isUsable: true; readonly hasGro: boolean; readonly hasGso: boolean }
  /** `reason` is a text for the log: what failed, and how. */
  | { readonly isUsable: false; readonly reason: string };

const SLOTS = 4;
const SLOT_BYTES = 2048;
const BUFFER_BYTES = 65_536;
const WAIT_MS = 2000;
/** Lengths of the test datagrams. They differ, so that a wrong layout of the messages shows. */
const LENGTHS = [1200, 7, 1];
const LOOPBACK = ['127.0.0.1', '::1'];

/**
 * Sends a few datagrams to itself by the calls that the UDP plane needs and compares what arrives. A seccomp profile or a
 * sandbox may refuse any of them, which is known only by trying. Blocks for milliseconds, and never throws.
 */
export function probeSystem(calls: SystemCalls): SystemProbe {
  if (calls.unavailable !== null) return { isUsable: false, reason: calls.unavailable };
  const sizes = [ReceiveBatch.arenaBytes(SLOTS, SLOT_BYTES), SendBatch.arenaBytes(SLOTS), PollSet.arenaBytes(2)];
  const own = UdpOpener.arenaBytes + Wake.arenaBytes + SLOT_BYTES;
  const arena = new Arena(calls, 1024 + own + sizes.reduce((sum, bytes) => sum + bytes, 0));
  try {
    return tryAll(calls, arena);
  } catch (error) {
    if (error instanceof SystemCallError) return { isUsable: false, reason: `the system refuses ${error.message}` };
    return { isUsable: false, reason: error instanceof Error ? error.message : String(error) };
  } finally {
    arena.release();
  }
}

function tryAll(calls: SystemCalls, arena: Arena): SystemProbe {
  const { socket, ip } = openOnLoopback(new UdpOpener(calls, arena));
  let wake: Wake | null = null;
  try {
    wake = new Wake(calls, arena);
    const poll = new PollSet(calls, arena, 2);
    poll.set(0, wake.fd);
    if (!wake.wake()) throw new SystemCallError('write', calls.errno());
    if (poll.wait(WAIT_MS) !== 1) throw new SystemCallError('poll', calls.errno());
    if (!wake.clear()) throw new SystemCallError('read', calls.errno());
    poll.set(1, socket.fd);
    exchange(calls, arena, poll, socket, ip);
    return { isUsable: true, hasGro: socket.hasGro, hasGso: socket.hasGso };
  } finally {
    wake?.close();
    calls.close(socket.fd);
  }
}

function openOnLoopback(opener: UdpOpener): { socket: UdpSocket; ip: string } {
  let failure: unknown;
  for (const ip of LOOPBACK) {
    try {
      return { socket: opener.open({ ip, port: 0, bufferBytes: BUFFER_BYTES, gro: true }), ip };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

function exchange(calls: SystemCalls, arena: Arena, poll: PollSet, socket: UdpSocket, ip: string): void {
  const out = new SendBatch(calls, arena, SLOTS);
  const into = new ReceiveBatch(calls, arena, SLOTS, SLOT_BYTES);
  const data = arena.reserve(SLOT_BYTES);
  for (let i = 0; i < SLOT_BYTES; i++) arena.bytes[data + i] = (i * 7 + 3) & 0xff;
  const name = arena.reserve(32);
  writeSockaddr(arena.bytes, name, ip, socket.port);
  for (const length of LENGTHS) out.add(data, length, arena.words, name >> 2);
  if (out.send(socket.fd, 0, MSG_DONTWAIT) !== LENGTHS.length) throw new SystemCallError('sendmmsg', calls.errno());
  for (let seen = 0; seen < LENGTHS.length;) {
    if (poll.wait(WAIT_MS) < 1) throw new Error('datagrams to this machine itself do not arrive');
    const received = into.receive(socket.fd, MSG_DONTWAIT);
    if (received < 0) throw new SystemCallError('recvmmsg', calls.errno());
    for (let i = 0; i < received; i++, seen++) compare(arena, into, i, data, LENGTHS[seen]);
  }
}

function compare(arena: Arena, into: ReceiveBatch, i: number, data: number, length: number | undefined): void {
  const from = into.dataOffset(i);
  const isSame =
    into.read(i) &&
    into.length(i) === length &&
    arena.bytes.compare(arena.bytes, data, data + length, from, from + length) === 0;
  if (!isSame) throw new Error('datagrams arrive with other bytes than they were sent with');
  if (into.local[0] === 0 && into.local[3] === 0)
    throw new Error('the system does not tell where datagrams are sent to');
}
