import { deadlines, type Expiring } from '../../base/deadlines.ts';
import type { Endpoint } from '../port.ts';
import { CheckResult, sendWatch, type Watched } from './send-watch.ts';

/**
 * Most streams are closed within this part of their deadline. The others are watched, so that their progress is known
 * at the deadline.
 */
const UNWATCHED_PART = 0.25;
/** A peer that read some of the rest and then nothing for this many checks (about ten seconds) is given up. */
const STILL_LOOKS = 20;
/** One move says nothing: the kernels of both sides may just have filled their buffers. */
const SETTLING_MOVES = 1;
/** The longest extension, in checks: about two minutes. It also ends peers that always take a little. */
const MOST_LOOKS = 240;

/**
 * The deadline of a stream that is being finished. It is extended while the peer is seen to take the rest. It is not
 * extended when the peer has taken nothing since it was watched, or when no bytes wait for it.
 */
export class FinishDeadline implements Watched, Expiring {
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly #giveUp: () => void;
  readonly #deadlineMs: number;
  #isWatched = false;
  #isDue = false;
  #last: CheckResult | null = null;
  #moves = 0;
  #looks = 0;
  #still = 0;

  /** The deadline is in `deadlineMs`. `giveUp` is called once, when the time is up. */
  constructor(
    { local, peer }: { readonly local: Endpoint; readonly peer: Endpoint },
    deadlineMs: number,
    giveUp: () => void,
  ) {
    this.local = local;
    this.peer = peer;
    this.#deadlineMs = deadlineMs;
    this.#giveUp = giveUp;
    deadlines.add(this, deadlineMs * UNWATCHED_PART);
  }

  expired(): void {
    if (this.#isWatched) {
      this.#isDue = true;
      this.#decide();
      return;
    }
    this.#isWatched = true;
    deadlines.add(this, this.#deadlineMs * (1 - UNWATCHED_PART));
    sendWatch.watch(this);
  }

  checked(result: CheckResult): void {
    this.#last = result;
    this.#looks++;
    if (result === CheckResult.Moved) {
      this.#moves++;
      this.#still = 0;
    } else {
      this.#still++;
    }
    this.#decide();
  }

  #decide(): void {
    if (!this.#isDue || this.#last === null || this.#mayGoOn()) return;
    this.stop();
    this.#giveUp();
  }

  #mayGoOn(): boolean {
    return (
      this.#moves > (this.#last === CheckResult.Moved ? 0 : SETTLING_MOVES) &&
      this.#last !== CheckResult.Unknown &&
      this.#still < STILL_LOOKS &&
      this.#looks < MOST_LOOKS
    );
  }

  /** The stream has ended. */
  stop(): void {
    deadlines.delete(this);
    sendWatch.forget(this);
  }
}
