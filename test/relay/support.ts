import type { PeerGoneReason } from '../../src/wire/frames.ts';
import type { Contactable, Recipient } from '../../src/relay/recipient.ts';

/** Writes down what it is told. */
export class RecordingRecipient implements Recipient {
  heardFrom: Set<Contactable> | null = null;
  readonly delivered: string[] = [];
  readonly gone: { key: string; reason: PeerGoneReason }[] = [];
  readonly healthTexts: string[] = [];
  readonly name: string;
  crowded = false;
  onCrowdedOut: () => void = () => undefined;

  constructor(name = '') {
    this.name = name;
  }

  deliver(buffer: Buffer, from: number, to: number): void {
    this.delivered.push(buffer.toString('hex', from, to));
  }

  peerGone(key: Buffer, reason: PeerGoneReason): void {
    this.gone.push({ key: key.toString('hex'), reason });
  }

  crowdedOut(): void {
    this.crowded = true;
    this.onCrowdedOut();
  }

  health(problem: string): void {
    this.healthTexts.push(problem);
  }
}
