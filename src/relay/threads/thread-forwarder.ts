import type { PacketKind } from '../../observe/counters.ts';
import { KEY_BYTES } from '../../wire/frames.ts';
import type { Delivery, Forwarder, NodeKey, Source, WaitingSender } from '../routing/recipient.ts';
import type { Way } from '../routing/remote-keys.ts';
import type { Router } from '../routing/router.ts';

/** The link to a thread that has links to other relays. */
interface ForwardingLink {
  /** Writes a packet for a key that a link of that thread leads to. */
  forward(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery;
  /** See {@link Forwarder.whenTaking}. */
  whenTaking(sender: WaitingSender): void;
}

/** Leads to all keys of other relays that links of another thread lead to. That thread chooses the link. */
export class ThreadForwarder implements Forwarder {
  readonly isElsewhere = true;
  readonly isUp = true;
  readonly #link: ForwardingLink;

  constructor(link: ForwardingLink) {
    this.#link = link;
  }

  deliver(source: Source, destination: NodeKey, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    return this.#link.forward(source, destination, buffer, from, to, kind);
  }

  whenTaking(sender: WaitingSender): void {
    this.#link.whenTaking(sender);
  }
}

/** A link to another thread, as one of the threads that have links to other relays. */
interface ThreadOfLinks {
  readonly forwarder: ThreadForwarder;
}

/** The keys of other relays that links of other threads lead to, as these threads report them. */
export class KeysOfLinks {
  readonly #router: Router;
  /** By thread. A thread without links has no entry. */
  readonly #ways = new Map<ThreadOfLinks, Way>();
  /**
   * Keys in hex that the links of a thread no longer lead to, until it is known whether another thread has the key now.
   */
  readonly #leaving = new Map<string, Way>();

  constructor(router: Router) {
    this.#router = router;
  }

  /** Records that links of `thread` lead to the key at `at`. */
  forwarded(thread: ThreadOfLinks, buffer: Buffer, at: number): void {
    let way = this.#ways.get(thread);
    if (way === undefined) this.#ways.set(thread, (way = this.#router.remote.open(thread.forwarder)));
    this.#router.addForwarder(buffer, at, way);
    if (this.isLeaving) this.#leaving.delete(nameOf(buffer, at));
  }

  /** Records that no link of `thread` leads to the key at `at` any more. */
  unforwarded(thread: ThreadOfLinks, buffer: Buffer, at: number): void {
    const way = this.#ways.get(thread);
    if (way !== undefined) this.#leaving.set(nameOf(buffer, at), way);
  }

  get isLeaving(): boolean {
    return this.#leaving.size > 0;
  }

  /** Keys that are to be removed by {@link settle}. */
  get leaving(): readonly string[] {
    return this.isLeaving ? [...this.#leaving.keys()] : [];
  }

  /** Removes those of these keys that are still leaving: no other thread has reported them meanwhile. */
  settle(names: readonly string[]): void {
    for (const name of names) {
      const way = this.#leaving.get(name);
      if (way === undefined) continue;
      this.#leaving.delete(name);
      this.#router.removeForwarder(Buffer.from(name, 'hex'), 0, way);
    }
  }

  /** Removes the keys of a thread that has ended. */
  close(thread: ThreadOfLinks): void {
    const way = this.#ways.get(thread);
    if (way === undefined) return;
    this.#ways.delete(thread);
    for (const [name, other] of this.#leaving) if (other === way) this.#leaving.delete(name);
    this.#router.closeWay(way);
  }
}

function nameOf(buffer: Buffer, at: number): string {
  return buffer.toString('hex', at, at + KEY_BYTES);
}
