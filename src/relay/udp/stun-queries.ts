import { parseBindingResponse, STUN_TRANSACTION_ID_BYTES } from '../../wire/stun.ts';

/** Queries that wait for their answers at once; an older one gives way. */
const MOST_WAITING = 128;
const ID_OFFSET = 8;
/** The first byte of an answer; that of a request is 0. */
const ANSWER = 0x01;

/** A question to a STUN server, from one socket of the door; plain data. */
export interface StunQuery {
  /** The transaction id, 24 hex digits. */
  readonly id: string;
  /** The number of the place that it is sent from. */
  readonly place: number;
  /** Of the server. */
  readonly ip: string;
  readonly port: number;
}

/** Where a socket of the door was seen to send from. */
export interface StunSighting {
  /** Of the query. */
  readonly id: string;
  readonly ip: string;
  readonly port: number;
}

/** The queries of a door that wait for an answer. What answers none of them is nobody's and changes nothing. */
export class StunQueries {
  readonly #waiting = new Set<string>();

  /** A query is sent; it may be sent several times. */
  expect(id: string): void {
    this.#waiting.delete(id);
    const [oldest] = this.#waiting;
    if (this.#waiting.size >= MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.add(id);
  }

  /** Whether the STUN message at `from` is an answer, to whatever. */
  isAnswer(bytes: Buffer, from: number): boolean {
    return bytes[from] === ANSWER;
  }

  /** What the answer `[from, to)` tells, when it belongs to a query that waits; each query takes one answer. */
  take(bytes: Buffer, from: number, to: number): StunSighting | null {
    if (this.#waiting.size === 0) return null;
    const id = bytes.toString('hex', from + ID_OFFSET, from + ID_OFFSET + STUN_TRANSACTION_ID_BYTES);
    if (!this.#waiting.has(id)) return null;
    const answer = parseBindingResponse(bytes, from, to);
    if (answer === null) return null;
    this.#waiting.delete(id);
    return { id, ip: answer.ip, port: answer.port };
  }
}
