import { KEY_BYTES, PeerGoneReason } from '../../wire/frames.ts';
import type { Peer } from './peer.ts';
import type { Recipient } from './recipient.ts';

/**
 * Most PeerGone frames that are sent in one turn of the event loop: about 2 ms of work. The others wait for the next
 * turns.
 */
const NOTICES_PER_TURN = 256;

/**
 * Records which recipients have received packets of which sources. Exactly these recipients get PeerGone when a source
 * leaves (protocol reference §4.7). Unlike upstream, the record is cleared with the notice, so that a source that comes
 * back and leaves again is reported again (§11.5).
 */
export class Contacts {
  readonly #limitPerRecipient: number;
  /** The sources of each recipient's packets. */
  readonly #heardFrom = new Map<Recipient, Set<Peer>>();
  /** Sources that have left and whose notices are not all sent, by key in hex, in order of leaving. */
  readonly #leaving = new Map<string, Peer>();
  #noticesLeft = NOTICES_PER_TURN;
  #scheduled = false;
  readonly #run = (): void => this.#nextTurn();

  /**
   * `limitPerRecipient`: largest number of sources that are recorded for one recipient. Later ones leave without
   * notice.
   */
  constructor(limitPerRecipient: number) {
    this.#limitPerRecipient = limitPerRecipient;
  }

  /** Records that `recipient` was sent a packet of `source`. */
  note(source: Peer, recipient: Recipient): void {
    let heardFrom = this.#heardFrom.get(recipient);
    if (heardFrom === undefined) {
      heardFrom = new Set();
      this.#heardFrom.set(recipient, heardFrom);
    }
    if (heardFrom.size >= this.#limitPerRecipient) return;
    (source.reached ??= new Set()).add(recipient);
    heardFrom.add(source);
  }

  /** `source` has left the region: sends the notices, in this turn or in the next ones. */
  sourceGone(source: Peer): void {
    if (source.reached === null || this.#tell(source, source.reached)) return;
    this.#leaving.set(source.key.toString('hex'), source);
  }

  /**
   * Handles the return of the key that is the 32 bytes at `at`. Returns its former peer when some contacts have not got PeerGone
   * yet, else null. These contacts get none now; they get it when the key leaves again.
   */
  takeBack(buffer: Buffer, at: number): Peer | null {
    if (this.#leaving.size === 0) return null;
    const name = buffer.toString('hex', at, at + KEY_BYTES);
    const peer = this.#leaving.get(name) ?? null;
    this.#leaving.delete(name);
    return peer;
  }

  /** `recipient` has left and needs no more notices. */
  recipientGone(recipient: Recipient): void {
    const heardFrom = this.#heardFrom.get(recipient);
    if (heardFrom === undefined) return;
    for (const source of heardFrom) source.reached?.delete(recipient);
    this.#heardFrom.delete(recipient);
  }

  /** Returns false when some notices are not sent yet. */
  #tell(source: Peer, reached: Set<Recipient>): boolean {
    for (const recipient of reached) {
      if (this.#noticesLeft === 0) return false;
      this.#noticesLeft--;
      this.#schedule();
      reached.delete(recipient);
      const heardFrom = this.#heardFrom.get(recipient);
      heardFrom?.delete(source);
      if (heardFrom?.size === 0) this.#heardFrom.delete(recipient);
      recipient.peerGone(source.key, PeerGoneReason.Disconnected);
    }
    source.reached = null;
    return true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #nextTurn(): void {
    this.#scheduled = false;
    this.#noticesLeft = NOTICES_PER_TURN;
    for (const [name, source] of this.#leaving) {
      if (source.reached !== null && !this.#tell(source, source.reached)) return;
      this.#leaving.delete(name);
    }
  }
}
