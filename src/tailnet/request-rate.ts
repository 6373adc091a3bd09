import { TokenBucket } from '../base/token-bucket.ts';

/** Requests per second of one node: a client retries after 3 s at the earliest, for each peer. */
const PER_SECOND = 20;
const BURST = 100;

/** Limits how many messages of each node are opened, because each costs cryptography. One bucket per node. */
export class RequestRate {
  readonly #buckets = new Map<number, TokenBucket>();

  /** Returns whether node `id` may send one more message at `now`, in milliseconds. */
  take(id: number, now: number): boolean {
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) {
      bucket = new TokenBucket(PER_SECOND, BURST, now);
      this.#buckets.set(id, bucket);
    }
    return bucket.take(1, now) === 0;
  }

  /** Removes the nodes for which `isThere` is false. */
  keep(isThere: (id: number) => boolean): void {
    for (const id of this.#buckets.keys()) if (!isThere(id)) this.#buckets.delete(id);
  }
}
