import { Arena } from '../../src/system/arena.ts';
import { MSG_DONTWAIT } from '../../src/system/linux.ts';
import { PollSet } from '../../src/system/poll-set.ts';
import type { SystemCalls } from '../../src/system/port.ts';
import { ReceiveBatch } from '../../src/system/receive-batch.ts';
import { SendBatch } from '../../src/system/send-batch.ts';
import { writeSocketAddress } from '../../src/system/socket-address.ts';
import { UdpOpener, type UdpSocket } from '../../src/system/udp-opener.ts';
import { bindMessage, BOUND, payload } from '../../test/relay/udp/forwarder.ts';

/** A flow waits no longer than this for what it has sent: it counts as lost then. */
const PATIENCE_MS = 200;
const SLOTS = 32;

export interface UdpLoad {
  readonly flows: number;
  /** Datagrams that a flow sends in one message: more than one by UDP_SEGMENT. */
  readonly burst: number;
  /** Messages of each flow on their way at once. */
  readonly window: number;
  readonly datagramBytes: number;
}

interface Flow {
  readonly from: UdpSocket;
  readonly to: UdpSocket;
  readonly message: Buffer;
  /** Where the message stands in the arena. */
  readonly data: number;
}

/** Sends datagrams through a relay and compares all that comes back, in the thread that calls it. */
export class UdpGenerator {
  received = 0;
  lost = 0;
  wrong = 0;
  readonly #calls: SystemCalls;
  readonly #load: UdpLoad;
  readonly #arena: Arena;
  readonly #out: SendBatch;
  readonly #into: ReceiveBatch;
  readonly #poll: PollSet;
  readonly #relay: number;
  readonly #flows: Flow[];

  constructor(calls: SystemCalls, load: UdpLoad, relayPort: number) {
    this.#calls = calls;
    this.#load = load;
    this.#arena = new Arena(calls, 16 * 1024 * 1024);
    this.#out = new SendBatch(calls, this.#arena, load.window);
    this.#into = new ReceiveBatch(calls, this.#arena, SLOTS, 65_535);
    this.#poll = new PollSet(calls, this.#arena, load.flows);
    this.#relay = this.#arena.reserve(32);
    writeSocketAddress(this.#arena.bytes, this.#relay, '127.0.0.1', relayPort);
    const opener = new UdpOpener(calls, this.#arena);
    this.#flows = Array.from({ length: load.flows }, (_, i) => this.#flow(opener, i));
  }

  /** Sends and receives for so long. */
  run(durationMs: number): void {
    const end = performance.now() + durationMs;
    const { window, burst } = this.#load;
    const inFlight = new Int32Array(this.#flows.length);
    const sentAt = new Float64Array(this.#flows.length);
    while (performance.now() < end) {
      const now = performance.now();
      for (const [i, flow] of this.#flows.entries()) {
        const free = window - inFlight[i]!;
        if (free * 2 < window && now - sentAt[i]! < PATIENCE_MS) continue;
        if (now - sentAt[i]! >= PATIENCE_MS && inFlight[i]! > 0) {
          this.lost += inFlight[i]! * burst;
          inFlight[i] = 0;
        }
        inFlight[i]! += this.#send(flow, window - inFlight[i]!);
        sentAt[i] = now;
      }
      this.#poll.wait(20);
      for (const [i, flow] of this.#flows.entries()) {
        if (this.#poll.found(i) === 0) continue;
        const messages = this.#receive(flow) / burst;
        inFlight[i] = Math.max(0, inFlight[i]! - messages);
      }
    }
  }

  close(): void {
    for (const { from, to } of this.#flows) {
      this.#calls.close(from.fd);
      this.#calls.close(to.fd);
    }
    this.#arena.release();
  }

  #flow(opener: UdpOpener, i: number): Flow {
    const options = { ip: '127.0.0.1', port: 0, bufferBytes: 4 * 1024 * 1024, gro: true };
    const [from, to] = [opener.open(options), opener.open(options)];
    const { burst, datagramBytes } = this.#load;
    const one = payload(i, Buffer.alloc(datagramBytes - 8, i + 1));
    const message = Buffer.concat(Array<Buffer>(burst).fill(one));
    const data = this.#arena.reserve(message.length, 64);
    message.copy(this.#arena.bytes, data);
    for (const [side, socket] of [from, to].entries()) this.#bind(i, side as 0 | 1, socket);
    this.#poll.set(i, to.fd);
    return { from, to, message, data };
  }

  #bind(endpoint: number, side: 0 | 1, socket: UdpSocket): void {
    const message = bindMessage(endpoint, side);
    const at = this.#arena.reserve(message.length);
    message.copy(this.#arena.bytes, at);
    this.#out.add(at, message.length, this.#arena.words, this.#relay >> 2);
    this.#out.send(socket.fd, 0, MSG_DONTWAIT);
    this.#out.count = 0;
    this.#poll.set(0, socket.fd);
    if (this.#poll.wait(5000) !== 1) throw new Error('the relay does not answer');
    this.#into.receive(socket.fd, MSG_DONTWAIT);
    if (this.#into.length(0) !== BOUND.length) throw new Error('the relay answers something else');
  }

  #send(flow: Flow, count: number): number {
    const out = this.#out;
    out.count = 0;
    for (let i = 0; i < count; i++) {
      out.add(flow.data, flow.message.length, this.#arena.words, this.#relay >> 2);
      if (this.#load.burst > 1) out.setSegment(this.#load.datagramBytes);
    }
    return Math.max(0, out.send(flow.from.fd, 0, MSG_DONTWAIT));
  }

  /** Compares what waits; returns how many datagrams that were. */
  #receive(flow: Flow): number {
    const into = this.#into;
    const { datagramBytes } = this.#load;
    let count = 0;
    for (;;) {
      const received = into.receive(flow.to.fd, MSG_DONTWAIT);
      for (let i = 0; i < received; i++) {
        const length = into.length(i);
        const at = into.dataOffset(i);
        // Datagrams of one flow are all the same, so that what the kernel put together is so many of them.
        for (let from = 0; from < length; from += datagramBytes) {
          const isSame =
            length - from >= datagramBytes &&
            flow.message.compare(this.#arena.bytes, at + from, at + from + datagramBytes, 0, datagramBytes) === 0;
          if (!isSame) this.wrong++;
          count++;
        }
      }
      if (received < SLOTS) break;
    }
    this.received += count;
    return count;
  }
}
