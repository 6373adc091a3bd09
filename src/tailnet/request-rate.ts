import { TokenBucket } from '../base/token-bucket.ts';

/** What one node may ask for: its software retries after 3 s at the earliest, for each of the nodes it talks to. */
const PER_SECOND = 20;
const BURST = 100;

/** How often each node may have a message looked at, since each costs some cryptography. One bucket for each node. */
export class RequestRate {
  readonly #buckets = new Map<number, TokenBucket>();

  /** Whether node `id` may ask once more at `now`, in milliseconds. */
  take(id: number, now: number): boolean {
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) {
      bucket = new TokenBucket(PER_SECOND, BURST, now);
      this.#buckets.set(id, bucket);
    }
    return bucket.take(1, now) === 0;
  }

  /** Forgets the nodes that are not there any more. */
  keep(isThere: (id: number) => boolean): void {
    for (const id of this.#buckets.keys()) if (!isThere(id)) this.#buckets.delete(id);
  }
}
