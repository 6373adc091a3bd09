import { parseBindingResponse, STUN_TRANSACTION_ID_BYTES } from '../../wire/stun.ts';

/** Most queries that wait for an answer. The oldest one is dropped first. */
const MOST_WAITING = 128;
const ID_OFFSET = 8;
/** The first byte of an answer; that of a request is 0. */
const ANSWER = 0x01;

/** A query to a STUN server, from one socket of the door; plain data. */
export interface StunQuery {
  /** The transaction id, 24 hex digits. */
  readonly id: string;
  /** The number of the place that it is sent from. */
  readonly place: number;
  /** The IP address of the server. */
  readonly ip: string;
  readonly port: number;
}

/** The address that a STUN server has seen for a socket of the door. */
export interface StunSighting {
  /** The id of the query. */
  readonly id: string;
  readonly ip: string;
  readonly port: number;
}

/** The queries of a door that wait for an answer. Any other answer is ignored. */
export class StunQueries {
  readonly #waiting = new Set<string>();

  /** Records that a query is sent. It may be sent several times. */
  expect(id: string): void {
    this.#waiting.delete(id);
    const [oldest] = this.#waiting;
    if (this.#waiting.size >= MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.add(id);
  }

  /** Returns whether the STUN message at `from` is an answer, to any query. */
  isAnswer(bytes: Buffer, from: number): boolean {
    return bytes[from] === ANSWER;
  }

  /** Returns the content of the answer `[from, to)` when its query waits, or null. Each query takes one answer. */
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
