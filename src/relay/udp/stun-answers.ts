import type { SketchRule } from './source-sketch.ts';
import { SourceSketch } from './source-sketch.ts';
import type { PrefixSet } from '../../base/ip-prefix.ts';
import { formatIp } from '../../base/ip-address.ts';
import { isBindingRequest, isTailnodeRequest, writeBindingResponse } from '../../wire/stun.ts';
import { DoorCount, type DoorCounts } from './door-counts.ts';
import { AF_INET, SideWord } from './port.ts';

/** The limits of one source; null: no limit, or for `generic`: no answer. */
export interface StunRules {
  readonly limit: SketchRule | null;
  /** Also answer STUN clients that are not Tailscale's, within this limit. */
  readonly generic: SketchRule | null;
  /** Addresses that `limit` does not apply to. */
  readonly exempt?: PrefixSet | undefined;
}

/** Answers STUN binding requests from raw addresses (protocol reference §6), without state per client. */
export class StunAnswers {
  /** True: no request is answered. */
  isSilent = false;
  readonly #counts: DoorCounts;
  readonly #limit: SourceSketch | null;
  readonly #generic: SourceSketch | null;
  readonly #exempt: PrefixSet | undefined;
  readonly #address: Buffer = Buffer.alloc(16);
  readonly #short: Buffer = this.#address.subarray(0, 4);

  constructor(counts: DoorCounts, rules: StunRules) {
    this.#counts = counts;
    this.#limit = rules.limit === null ? null : new SourceSketch(rules.limit);
    this.#generic = rules.generic === null ? null : new SourceSketch(rules.generic);
    this.#exempt = rules.exempt;
  }

  /** Drains the limits by the time that has passed; `now` in milliseconds. */
  tick(now: number): void {
    this.#limit?.drain(now);
    this.#generic?.drain(now);
  }

  /**
   * Writes the answer to the STUN message `[from, to)` of `bytes`, which came from the address at word `source` of
   * `words`, to the start of `out`. Returns its length; 0: no answer, which is counted.
   */
  answer(out: Buffer, bytes: Buffer, from: number, to: number, words: Int32Array, source: number): number {
    if (this.isSilent) return 0;
    const head = words[source]!;
    const isInet = (head & 0xffff) === AF_INET;
    const length = isInet ? 4 : 16;
    const first = source + (isInet ? SideWord.Ipv4 : SideWord.Ipv6);
    for (let i = 0; i * 4 < length; i++) this.#address.writeInt32LE(words[first + i]!, i * 4);
    if (!this.#mayAsk(bytes, from, to, length)) return 0;
    const port = ((head >>> 8) & 0xff00) | (head >>> 24);
    this.#counts[isInet ? DoorCount.stunIpv4 : DoorCount.stunIpv6]! += 1;
    return writeBindingResponse(out, bytes, from, this.#address, length, port);
  }

  /**
   * Returns whether a request is within its limit. Generic requests have their own, so that they take nothing from
   * Tailscale's requests behind the same address.
   */
  #mayAsk(bytes: Buffer, from: number, to: number, length: number): boolean {
    let isWithin: boolean;
    if (isTailnodeRequest(bytes, from, to)) {
      isWithin = this.#limit === null || this.#limit.takeBytes(this.#address, length) || this.#isExempt(length);
    } else if (this.#generic !== null && isBindingRequest(bytes, from, to)) {
      isWithin = this.#generic.takeBytes(this.#address, length);
    } else {
      this.#counts[DoorCount.stunNotStun]! += 1;
      return false;
    }
    if (!isWithin) this.#counts[DoorCount.stunRateLimited]! += 1;
    return isWithin;
  }

  #isExempt(length: number): boolean {
    return this.#exempt?.has(formatIp(length === 4 ? this.#short : this.#address)) === true;
  }
}

/**
 * Returns whether `[from, to)` looks like STUN, which comes before Geneve (reference §4): byte 1, length and cookie
 * decide.
 */
export function looksLikeStun(bytes: Buffer, from: number, to: number): boolean {
  return (
    to - from >= 20 &&
    bytes[from + 1] === 0x01 &&
    bytes[from + 4] === 0x21 &&
    bytes[from + 5] === 0x12 &&
    bytes[from + 6] === 0xa4 &&
    bytes[from + 7] === 0x42
  );
}
