import type { PeerGoneReason } from '../../../src/wire/frames.ts';
import {
  Delivery,
  type NodeKey,
  type Presence,
  type Recipient,
  type Source,
  type WaitingSender,
} from '../../../src/relay/routing/recipient.ts';

/** A recipient that records its packets and notices. */
export class RecordingRecipient implements Recipient {
  /** Source, destination and packet of each delivery: keys in hex, the packet as Latin-1. */
  readonly delivered: (readonly [source: string, destination: string, packet: string])[] = [];
  readonly gone: { key: string; reason: PeerGoneReason }[] = [];
  readonly healthTexts: string[] = [];
  readonly name: string;
  readonly waiting: WaitingSender[] = [];
  crowded = false;
  closedByRegion = false;
  isFull = false;
  onCrowdedOut: () => void = () => undefined;

  constructor(name = '') {
    this.name = name;
  }

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number): Delivery {
    if (this.isFull) return Delivery.Full;
    const packet = buffer.toString('latin1', from, to);
    this.delivered.push([source.key.toString('hex'), destination.key.toString('hex'), packet]);
    return Delivery.Taken;
  }

  whenTaking(sender: WaitingSender): void {
    this.waiting.push(sender);
  }

  /** Takes packets again, and calls the waiting senders. */
  takeAgain(): void {
    this.isFull = false;
    for (const sender of this.waiting.splice(0)) sender.sendMore();
  }

  peerGone(key: Buffer, reason: PeerGoneReason): void {
    this.gone.push({ key: key.toString('hex'), reason });
  }

  presence(): Presence {
    return { ip: '192.0.2.1', port: 7, flags: 1, app: this.name };
  }

  closePeer(): void {
    this.closedByRegion = true;
  }

  crowdedOut(): void {
    this.crowded = true;
    this.onCrowdedOut();
  }

  health(problem: string): void {
    this.healthTexts.push(problem);
  }
}
