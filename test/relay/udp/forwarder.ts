import {
  ADDRESS_WORDS,
  SIDE_WORDS,
  Verdict,
  type Arrival,
  type DatagramRules,
  type MakeDatagramRules,
} from '../../../src/relay/udp/port.ts';
import { sameAddress } from '../../../src/relay/udp/side-address.ts';

/** First byte of a datagram that binds a side. The number of the side is in byte 3, that of the endpoint in bytes 4–6. */
const BIND = 0xb1;
/** The answer to a bind. */
export const BOUND = 'bound';
const HEADER_BYTES = 8;

/** Makes a datagram that binds a side of an endpoint. */
export function bindMessage(endpoint: number, side: 0 | 1): Buffer {
  const message = Buffer.alloc(HEADER_BYTES);
  message[0] = BIND;
  message[3] = side;
  message.writeUIntBE(endpoint, 4, 3);
  return message;
}

/** Makes a payload for an endpoint: a header, then `rest`. */
export function payload(endpoint: number, rest: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUIntBE(endpoint, 4, 3);
  return Buffer.concat([header, rest]);
}

/** Rules for tests of the thread: the last sender of a bind has the side, and other datagrams go to the other side. */
export const makeForwarder: MakeDatagramRules<unknown> = (settings, memory, places) =>
  new Forwarder(settings, memory, (side) => places.locate(memory, side));

class Forwarder implements DatagramRules {
  readonly sides: Int32Array;
  readonly reply: Uint8Array = Buffer.from(BOUND);
  readonly replyLength: number = BOUND.length;
  destination = 0;
  end = 0;
  readonly #locate: (side: number) => boolean;
  readonly #settings: unknown;
  #ticks = 0;

  constructor(settings: unknown, memory: Int32Array, locate: (side: number) => boolean) {
    this.#settings = settings;
    this.sides = memory;
    this.#locate = locate;
  }

  receive(arrival: Arrival): Verdict {
    const { bytes, from, to, segment } = arrival;
    this.end = segment > 0 ? Math.min(from + segment, to) : to;
    if (this.end - from < HEADER_BYTES) return Verdict.Drop;
    const endpoint = endpointAt(bytes, from);
    if ((endpoint + 1) * 2 * SIDE_WORDS > this.sides.length) return Verdict.Drop;
    if (bytes[from] === BIND) {
      this.#bind(arrival, (endpoint * 2 + bytes[from + 3]!) * SIDE_WORDS);
      return Verdict.Reply;
    }
    while (this.end < to && isFull(this.end, to) && endpointAt(bytes, this.end) === endpoint) {
      this.end = Math.min(this.end + segment, to);
    }
    const side = this.#sideOf(arrival, endpoint);
    this.destination = endpoint * 2 + 1 - side;
    return side < 0 || this.sides[this.destination * SIDE_WORDS] === 0 ? Verdict.Drop : Verdict.Forward;
  }

  tick(): void {
    this.#ticks += 1;
  }

  /** Handles `{ locate: side }`, `{ settings: true }` and `{ fail: true }` (a bug); sends any other value back. */
  command(message: unknown): unknown {
    if (typeof message !== 'object' || message === null) return { echo: message, ticks: this.#ticks };
    if ('fail' in message) throw new Error('a bug in the rules');
    if ('settings' in message) return this.#settings;
    if ('locate' in message) return this.#locate(Number(message.locate) * SIDE_WORDS);
    return [...this.sides.subarray(0, 2 * SIDE_WORDS)];
  }

  #bind(arrival: Arrival, side: number): void {
    this.sides.fill(0, side, side + SIDE_WORDS);
    for (let i = 0; i < ADDRESS_WORDS; i++) this.sides[side + i] = arrival.words[arrival.source + i]!;
    arrival.writeLocal(this.sides, side);
  }

  #sideOf({ words, source }: Arrival, endpoint: number): number {
    for (const side of [0, 1]) {
      const at = (endpoint * 2 + side) * SIDE_WORDS;
      if (sameAddress(words, source, this.sides, at)) return side;
    }
    return -1;
  }
}

function isFull(at: number, to: number): boolean {
  return to - at >= HEADER_BYTES;
}

function endpointAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 4]! << 16) | (bytes[at + 5]! << 8) | bytes[at + 6]!;
}
