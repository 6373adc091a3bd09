import { Arena } from '../../src/system/arena.ts';
import { MSG_DONTWAIT } from '../../src/system/linux.ts';
import { PollSet } from '../../src/system/poll-set.ts';
import type { SystemCalls } from '../../src/system/port.ts';
import { ReceiveBatch } from '../../src/system/receive-batch.ts';
import { SendBatch } from '../../src/system/send-batch.ts';
import { readSockaddr, writeSockaddr } from '../../src/system/sockaddr.ts';
import { UdpOpener, type UdpSocket } from '../../src/system/udp-opener.ts';

const SLOTS = 24;
const ARENA_BYTES = 8 * 1024 * 1024;
const WAIT_MS = 10_000;

/** One datagram as it was received. */
export interface Received {
  readonly bytes: Buffer;
  readonly from: { readonly ip: string; readonly port: number } | null;
  readonly segmentBytes: number;
  readonly local: readonly number[];
  readonly isWhole: boolean;
}

/** Sockets and memory of one test; `close` frees them. */
export class Fixture {
  readonly calls: SystemCalls;
  readonly arena: Arena;
  readonly out: SendBatch;
  readonly #opener: UdpOpener;
  readonly #poll: PollSet;
  readonly #name: number;
  readonly #data: number;
  readonly #open: number[] = [];
  #used = 0;

  constructor(calls: SystemCalls) {
    this.calls = calls;
    this.arena = new Arena(calls, ARENA_BYTES);
    this.#opener = new UdpOpener(calls, this.arena);
    this.out = new SendBatch(calls, this.arena, SLOTS);
    this.#poll = new PollSet(calls, this.arena, 1);
    this.#name = this.arena.reserve(32);
    this.#data = this.arena.reserve(1024 * 1024);
  }

  open(ip: string, gro: boolean = false, port: number = 0): UdpSocket {
    const socket = this.#opener.open({ ip, port, bufferBytes: 4 * 1024 * 1024, gro });
    this.#open.push(socket.fd);
    return socket;
  }

  /** Puts a datagram into the send batch. */
  add(bytes: Buffer, ip: string, port: number): void {
    if (this.out.count === 0) this.#used = 0;
    bytes.copy(this.arena.bytes, this.#data + this.#used);
    writeSockaddr(this.arena.bytes, this.#name, ip, port);
    this.out.add(this.#data + this.#used, bytes.length, this.arena.words, this.#name >> 2);
    this.#used += (bytes.length + 63) & ~63;
  }

  /** Returns the local address of `ip`, as the words of `SendBatch.setSource`. */
  local(ip: string): Int32Array {
    writeSockaddr(this.arena.bytes, this.#name, ip, 0);
    const word = this.#name >> 2;
    return ip.includes(':') ? this.arena.words.slice(word + 2, word + 6) : this.arena.words.slice(word + 1, word + 2);
  }

  batch(slotBytes: number = 65_535, slots: number = SLOTS, controlBytes?: number): ReceiveBatch {
    return new ReceiveBatch(this.calls, this.arena, slots, slotBytes, controlBytes);
  }

  /** Waits until the socket is readable. */
  wait(socket: UdpSocket): void {
    this.#poll.set(0, socket.fd);
    while (this.#poll.wait(WAIT_MS) !== 1) {
      if (this.calls.errno() !== 4) throw new Error('nothing arrives');
    }
  }

  /** Receives `count` messages of the kernel; each may be several joined datagrams. */
  receive(socket: UdpSocket, count: number, batch: ReceiveBatch): Received[] {
    const all: Received[] = [];
    while (all.length < count) {
      this.wait(socket);
      const received = batch.receive(socket.fd, MSG_DONTWAIT);
      for (let i = 0; i < received; i++) {
        const isWhole = batch.read(i);
        const from = batch.dataOffset(i);
        all.push({
          bytes: Buffer.from(this.arena.bytes.subarray(from, from + batch.length(i))),
          from: readSockaddr(this.arena.bytes, batch.nameOffset(i)),
          segmentBytes: batch.segmentBytes,
          local: [...batch.local],
          isWhole,
        });
      }
    }
    return all;
  }

  close(): void {
    for (const fd of this.#open) this.calls.close(fd);
    this.arena.release();
  }
}

/** Makes bytes that show their position: each depends on `seed` and the position. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 17 + (i >> 8)) & 0xff;
  return bytes;
}
