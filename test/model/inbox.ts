import type { DerpClientHandler } from '../../src/client/options.ts';
import { PeerGoneReason } from '../../src/wire/frames.ts';
import type { Notice } from './model.ts';
import { indexOfKey, readPacket } from './packets.ts';

/** Everything that one client receives, and the problems in it. */
export class Inbox implements DerpClientHandler {
  /** Notices that were not compared yet. */
  readonly notices: Notice[] = [];
  readonly problems: string[] = [];
  /** Number of Restarting frames. */
  restarts = 0;
  /** Number of notices that a destination is unknown. */
  notHere = 0;
  /** Number of packets. */
  received = 0;
  isClosed = false;
  /** Called when the client accepts frames again after it refused one. */
  onDrained: () => void = () => undefined;
  #fresh: string[] = [];
  /** The highest sequence number so far, by sender and kind. */
  readonly #latest = new Map<string, number>();

  /** Returns the names of the packets since the last call. */
  take(): readonly string[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  packet(source: Buffer, buffer: Buffer, from: number, to: number): void {
    this.received++;
    const { name, stream, sequence, isIntact } = readPacket(buffer.subarray(from, to));
    this.#fresh.push(name);
    if (sequence <= (this.#latest.get(stream) ?? -1)) this.problems.push(`packet ${name} came after a later one`);
    this.#latest.set(stream, sequence);
    if (!isIntact) this.problems.push(`packet ${name} is not what was sent`);
    if (indexOfKey(source) < 0) this.problems.push(`packet ${name} is from the unknown key ${source.toString('hex')}`);
  }

  peerGone(key: Buffer, reason: number): void {
    if (reason === PeerGoneReason.NotHere) this.notHere++;
    else this.notices.push(`gone ${indexOfKey(key)}`);
  }

  health(problem: string): void {
    this.notices.push(problem === '' ? 'health good' : 'health bad');
  }

  restarting(): void {
    this.restarts++;
  }

  drained(): void {
    this.onDrained();
  }

  closed(): void {
    this.isClosed = true;
  }
}
