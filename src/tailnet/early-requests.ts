import type { NodeKey, Source } from '../relay/routing/recipient.ts';

/** Requests that are kept. Any admitted client may send one, so that the oldest makes room. */
const MOST = 64;
/** Of one request: a disco message for an endpoint has 62 + 16 + 70 bytes. */
const MOST_BYTES = 512;
/** A client asks again after 30 s by itself; what is older than this is not worth an answer. */
const KEPT_MS = 10_000;

/** A packet of a node that the network map did not have when it came. */
export interface EarlyRequest {
  readonly source: Source;
  readonly destination: NodeKey;
  readonly packet: Buffer;
  /** Milliseconds of the clock. */
  readonly at: number;
}

/**
 * Requests of nodes that the network map does not have yet. A control server may tell a client of the relay before it tells
 * the relay of the client, and a client that gets no answer asks again only after 30 s (peer-relay reference §6). One
 * request of each node key is kept, the latest.
 */
export class EarlyRequests {
  readonly #byKey = new Map<string, EarlyRequest>();

  /** Copies the packet `[from, to)`. The source has proved its key. */
  keep(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, now: number): void {
    if (to - from > MOST_BYTES) return;
    const name = source.key.toString('hex');
    this.#byKey.delete(name);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size >= MOST && oldest !== undefined) this.#byKey.delete(oldest);
    this.#byKey.set(name, {
      source: { key: Buffer.from(source.key), words: Int32Array.from(source.words), isProved: true },
      destination,
      packet: Buffer.from(buffer.subarray(from, to)),
      at: now,
    });
  }

  /** Takes out the requests of nodes that are known now, and forgets those that are too old. */
  take(isKnown: (key: Buffer) => boolean, now: number): EarlyRequest[] {
    const due: EarlyRequest[] = [];
    for (const [name, request] of this.#byKey) {
      const isOld = now - request.at > KEPT_MS;
      const isDue = !isOld && isKnown(request.source.key);
      if (isDue) due.push(request);
      if (isDue || isOld) this.#byKey.delete(name);
    }
    return due;
  }
}
