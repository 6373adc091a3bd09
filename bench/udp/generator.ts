import { Arena } from '../../src/system/arena.ts';
import { MSG_DONTWAIT } from '../../src/system/linux.ts';
import { PollSet } from '../../src/system/poll-set.ts';
import type { SystemCalls } from '../../src/system/port.ts';
import { ReceiveBatch } from '../../src/system/receive-batch.ts';
import { SendBatch } from '../../src/system/send-batch.ts';
import { writeSockaddr } from '../../src/system/sockaddr.ts';
import { UdpOpener, type UdpSocket } from '../../src/system/udp-opener.ts';
import { data, type RelayPeer } from '../../test/relay/udp/relay-peer.ts';

/** Longest time that a flow waits for a datagram, in milliseconds. After it, the datagram counts as lost. */
const PATIENCE_MS = 200;
const SLOTS = 32;
const ARENA_BYTES = 64 * 1024 * 1024;
const HANDSHAKE_TRIES = 20;
const HANDSHAKE_WAIT_MS = 250;
const GENEVE_BYTES = 8;

export interface UdpLoad {
  readonly flows: number;
  /** Datagrams that a flow sends in one message: more than one by UDP_SEGMENT. */
  readonly burst: number;
  /** Largest number of messages of a flow under way. */
  readonly window: number;
  readonly datagramBytes: number;
}

/** The addresses of the generator and of the relay. */
export interface Ends {
  readonly ip: string;
  readonly relay: string;
  readonly port: number;
}

/** An endpoint of the relay under test, with both of its clients. */
export interface TestEndpoint {
  readonly vni: number;
  readonly serverDisco: Buffer;
  readonly clients: readonly [RelayPeer, RelayPeer];
}

interface Flow {
  readonly from: UdpSocket;
  readonly to: UdpSocket;
  readonly message: Buffer;
  /** Position of the message in the arena. */
  readonly data: number;
}

/** Binds endpoints, sends datagrams through them and compares all that comes back, in the thread that calls it. */
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
  readonly #control: number;
  readonly #opener: UdpOpener;
  readonly #flows: readonly Flow[];
  /** Both sides of all endpoints without a flow. */
  readonly #idle: readonly [UdpSocket, UdpSocket];
  readonly #ip: string;
  #generation = 0;

  /** The first endpoints have a flow each. */
  constructor(calls: SystemCalls, load: UdpLoad, ends: Ends, endpoints: readonly TestEndpoint[]) {
    this.#calls = calls;
    this.#load = load;
    this.#ip = ends.ip;
    this.#arena = new Arena(calls, ARENA_BYTES);
    this.#out = new SendBatch(calls, this.#arena, load.window);
    this.#into = new ReceiveBatch(calls, this.#arena, SLOTS, 65_535);
    this.#poll = new PollSet(calls, this.#arena, load.flows);
    this.#relay = this.#arena.reserve(32);
    this.#control = this.#arena.reserve(256);
    writeSockaddr(this.#arena.bytes, this.#relay, ends.relay, ends.port);
    this.#opener = new UdpOpener(calls, this.#arena);
    this.#idle = [this.#open(), this.#open()];
    this.#flows = endpoints.slice(0, load.flows).map((endpoint) => this.#flow(endpoint));
    for (const endpoint of endpoints.slice(load.flows)) this.#bind(endpoint, this.#idle);
    for (const [i, { to }] of this.#flows.entries()) this.#poll.set(i, to.fd);
  }

  /** Sends and receives for this time. */
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
    for (const { fd } of [...this.#idle, ...this.#flows.flatMap(({ from, to }) => [from, to])]) this.#calls.close(fd);
    this.#arena.release();
  }

  #open(): UdpSocket {
    return this.#opener.open({ ip: this.#ip, port: 0, bufferBytes: 4 * 1024 * 1024, gro: true });
  }

  #flow(endpoint: TestEndpoint): Flow {
    const [from, to] = [this.#open(), this.#open()];
    const { burst, datagramBytes } = this.#load;
    const one = data(endpoint.vni, datagramBytes - GENEVE_BYTES);
    const message = Buffer.concat(Array<Buffer>(burst).fill(one));
    const at = this.#arena.reserve(message.length, 64);
    message.copy(this.#arena.bytes, at);
    this.#bind(endpoint, [from, to]);
    return { from, to, message, data: at };
  }

  /** Binds both sides (bind, challenge, answer), until a datagram arrives through the endpoint. */
  #bind(endpoint: TestEndpoint, sockets: readonly [UdpSocket, UdpSocket]): void {
    const [a, b] = endpoint.clients;
    const probe = data(endpoint.vni, 16);
    for (let i = 0; i < HANDSHAKE_TRIES; i++) {
      this.#handshake(endpoint, a, b, sockets[0]);
      this.#handshake(endpoint, b, a, sockets[1]);
      this.#post(sockets[0], probe);
      if (this.#take(sockets[1], (datagram) => datagram.equals(probe)) !== null) return;
    }
    throw new Error('no datagram came through the relay');
  }

  #handshake(endpoint: TestEndpoint, own: RelayPeer, other: RelayPeer, socket: UdpSocket): void {
    this.#post(socket, own.bind(endpoint, other, ++this.#generation));
    const challenge = this.#take(socket, ({ length }) => length === 160);
    if (challenge !== null) this.#post(socket, own.answer(endpoint, other, challenge));
  }

  #post(socket: UdpSocket, datagram: Buffer): void {
    datagram.copy(this.#arena.bytes, this.#control);
    this.#out.count = 0;
    this.#out.add(this.#control, datagram.length, this.#arena.words, this.#relay >> 2);
    this.#out.send(socket.fd, 0, MSG_DONTWAIT);
  }

  /** Returns the first matching datagram, or null when none arrives in time. */
  #take(socket: UdpSocket, isWanted: (datagram: Buffer) => boolean): Buffer | null {
    const end = performance.now() + HANDSHAKE_WAIT_MS;
    this.#poll.set(0, socket.fd);
    while (performance.now() < end) {
      if (this.#poll.wait(HANDSHAKE_WAIT_MS) !== 1) return null;
      const received = this.#into.receive(socket.fd, MSG_DONTWAIT);
      for (let i = 0; i < received; i++) {
        const at = this.#into.dataOffset(i);
        const datagram = Buffer.from(this.#arena.bytes.subarray(at, at + this.#into.length(i)));
        if (isWanted(datagram)) return datagram;
      }
    }
    return null;
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

  /** Reads and compares the waiting datagrams; returns their number. */
  #receive(flow: Flow): number {
    const into = this.#into;
    const { datagramBytes } = this.#load;
    let count = 0;
    for (;;) {
      const received = into.receive(flow.to.fd, MSG_DONTWAIT);
      for (let i = 0; i < received; i++) {
        const length = into.length(i);
        const at = into.dataOffset(i);
        // All datagrams of a flow are equal, so a message that the kernel joined holds a whole number of them.
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
