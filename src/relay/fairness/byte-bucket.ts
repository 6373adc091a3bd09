import { TokenBucket } from '../../base/token-bucket.ts';
import { MAX_SEND_PAYLOAD_BYTES } from '../../wire/frames.ts';

/** A byte rate and a burst. `bytesPerSecond` 0 means no limit. */
export interface ByteRate {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** The smallest useful burst: one largest packet with its key (protocol reference §4.8). */
export const MIN_BURST_BYTES: number = MAX_SEND_PAYLOAD_BYTES;

/**
 * Token bucket over bytes. A burst below {@link MIN_BURST_BYTES} is raised to it. A single take is never charged more
 * than that, so it always succeeds in the end (§4.8).
 */
export class ByteBucket extends TokenBucket {
  constructor({ bytesPerSecond, burstBytes }: ByteRate, now: number, initial: 'full' | 'empty' = 'full') {
    const burst = Math.max(burstBytes, MIN_BURST_BYTES);
    super(bytesPerSecond, burst, now, initial === 'full' ? burst : 0);
  }

  override take(bytes: number, now: number): number {
    return super.take(bytes < MIN_BURST_BYTES ? bytes : MIN_BURST_BYTES, now);
  }
}
