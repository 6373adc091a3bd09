import type { Endpoint } from './port.ts';
import { LookResult, sendWatch, type Watched } from './send-watch.ts';

/** A peer that has taken nothing of the rest for so many looks does not want it: some ten seconds. */
const STILL_LOOKS = 20;
/** However slowly it takes the rest, it has no more time than this many looks: some two minutes. */
const MOST_LOOKS = 240;

/** Gives a stream that has not been closed within the deadline of `finish` more time, as long as its peer takes the rest. */
export class SlowFinish implements Watched {
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly #giveUp: () => void;
  #looks = 0;
  #still = 0;

  /** `giveUp` is called once, when the time is up. */
  constructor({ local, peer }: { readonly local: Endpoint; readonly peer: Endpoint }, giveUp: () => void) {
    this.local = local;
    this.peer = peer;
    this.#giveUp = giveUp;
    sendWatch.watch(this);
  }

  looked(result: LookResult): void {
    this.#still = result === LookResult.Moved ? 0 : this.#still + 1;
    if (result !== LookResult.Unknown && this.#still < STILL_LOOKS && ++this.#looks < MOST_LOOKS) return;
    this.stop();
    this.#giveUp();
  }

  /** The stream is gone. */
  stop(): void {
    sendWatch.forget(this);
  }
}
