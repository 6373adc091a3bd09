/** The token bucket that a relay may announce in ServerInfo (§8.6): what does not fit is dropped, never delayed. */
export class SendBudget {
  readonly #bytesPerSecond: number;
  readonly #burstBytes: number;
  #tokens: number;
  #atMs: number;

  /** A rate of 0 means no limit. The bucket starts full. */
  constructor(bytesPerSecond: number, burstBytes: number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = burstBytes;
    this.#tokens = burstBytes;
    this.#atMs = nowMs;
  }

  /** Takes `bytes` out of the bucket, or takes nothing and returns false. */
  spend(bytes: number, nowMs: number): boolean {
    if (this.#bytesPerSecond <= 0) return true;
    const refill = ((nowMs - this.#atMs) / 1000) * this.#bytesPerSecond;
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + refill);
    this.#atMs = nowMs;
    if (this.#tokens < bytes) return false;
    this.#tokens -= bytes;
    return true;
  }
}
