/** A thread that sends datagrams that a relay must drop, as fast as it can, until it is stopped. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from '../../src/system/arena.ts';
import { MSG_DONTWAIT } from '../../src/system/linux.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { SendBatch } from '../../src/system/send-batch.ts';
import { writeSockaddr } from '../../src/system/sockaddr.ts';
import { UdpOpener } from '../../src/system/udp-opener.ts';

const BATCH = 64;
const SOCKETS = 8;

/** The datagrams of a flood, and their destination. */
export interface FloodOrder {
  readonly ip: string;
  readonly port: number;
  /** Each is one datagram; all are sent in turn. At most {@link BATCH} are used. */
  readonly datagrams: readonly Uint8Array[];
  /** Set to 1 to end it. */
  readonly stop: Int32Array;
}

const { ip, port, datagrams, stop } = workerData as FloodOrder;
const calls = await loadSystemCalls();
const arena = new Arena(calls, 1024 * 1024);
const out = new SendBatch(calls, arena, BATCH);
const opener = new UdpOpener(calls, arena);
const relay = arena.reserve(32);
writeSockaddr(arena.bytes, relay, ip, port);
const sockets = Array.from({ length: SOCKETS }, () =>
  opener.open({ ip, port: 0, bufferBytes: 1024 * 1024, gro: false }),
);
for (let i = 0; i < BATCH; i++) {
  const datagram = datagrams[i % datagrams.length]!;
  const at = arena.reserve(datagram.length);
  arena.bytes.set(datagram, at);
  out.add(at, datagram.length, arena.words, relay >> 2);
}
let sent = 0;
for (let i = 0; Atomics.load(stop, 0) === 0; i++) {
  const count = out.send(sockets[i % SOCKETS]!.fd, 0, MSG_DONTWAIT);
  if (count > 0) sent += count;
}
for (const { fd } of sockets) calls.close(fd);
arena.release();
parentPort!.postMessage(sent);
