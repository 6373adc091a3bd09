import { PeerGoneReason } from '../wire/frames.ts';
import type { Contactable, Recipient } from './recipient.ts';

/**
 * Who has received packets from whom, so that exactly these hear PeerGone when a source leaves (protocol reference
 * §4.7). Unlike upstream the mark is cleared with the notice, so that a source that comes back and leaves again is
 * reported again (§11.5).
 */
export class Contacts {
  readonly #limitPerRecipient: number;

  /** `limitPerRecipient`: sources that one recipient can be told about; later ones leave without notice. */
  constructor(limitPerRecipient: number) {
    this.#limitPerRecipient = limitPerRecipient;
  }

  /** Notes that `recipient` was sent a packet of `source`. */
  note(source: Contactable, recipient: Recipient): void {
    const heardFrom = (recipient.heardFrom ??= new Set());
    if (heardFrom.size >= this.#limitPerRecipient) return;
    (source.reached ??= new Set()).add(recipient);
    heardFrom.add(source);
  }

  /** `source` has left the region: tells everyone it reached. */
  sourceGone(source: Contactable): void {
    for (const recipient of source.reached ?? []) {
      recipient.heardFrom?.delete(source);
      recipient.peerGone(source.key, PeerGoneReason.Disconnected);
    }
    source.reached = null;
  }

  /** `recipient` is gone and need not be told anything any more. */
  recipientGone(recipient: Recipient): void {
    for (const source of recipient.heardFrom ?? []) source.reached?.delete(recipient);
    recipient.heardFrom = null;
  }
}
