/** What one node may ask for: its software retries after 3 s at the earliest, for each of the nodes it talks to. */
const PER_SECOND = 20;
const BURST = 100;

interface Bucket {
  tokens: number;
  at: number;
}

/** How often each node may have a message looked at, since each costs some cryptography. One bucket for each node. */
export class RequestRate {
  readonly #buckets = new Map<number, Bucket>();

  /** Whether node `id` may ask once more at `now`, in milliseconds. */
  take(id: number, now: number): boolean {
    const bucket = this.#buckets.get(id) ?? { tokens: BURST, at: now };
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) * PER_SECOND) / 1000);
    bucket.at = now;
    this.#buckets.set(id, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** Forgets the nodes that are not there any more. */
  keep(isThere: (id: number) => boolean): void {
    for (const id of this.#buckets.keys()) if (!isThere(id)) this.#buckets.delete(id);
  }
}
