import { setImmediate as nextTurn } from 'node:timers/promises';
import { Counters } from '../../../src/observe/counters.ts';
import { DuplicatePolicy } from '../../../src/relay/routing/duplicates.ts';
import type { Peer } from '../../../src/relay/routing/peer.ts';
import { Router, type RouteResult } from '../../../src/relay/routing/router.ts';
import { LoopTurn } from '../../../src/relay/session/loop-turn.ts';
import { SharedOrder } from '../../../src/relay/threads/shared-order.ts';
import { createChannels } from '../../../src/relay/threads/thread-link.ts';
import { ThreadLinks } from '../../../src/relay/threads/thread-links.ts';
import { RecordingRecipient } from '../routing/support.ts';

/** The part of a relay thread that knows the keys of all threads. */
export class Thread {
  readonly counters: Counters = new Counters();
  /** Events of sources in other threads. */
  readonly sourceEvents: (readonly [event: number, path: readonly string[]])[] = [];
  readonly router: Router;
  readonly links: ThreadLinks;

  constructor(memory: SharedArrayBuffer, policy: DuplicatePolicy) {
    const order = new SharedOrder(memory);
    this.router = new Router(this.counters, policy, { connectionsPerKey: 3, contactsPerClient: 64 }, order);
    this.links = new ThreadLinks({
      router: this.router,
      turn: new LoopTurn(),
      counters: this.counters,
      order,
      sourceEvent: (event, path) => this.sourceEvents.push([event, path]),
      keyUsed: () => undefined,
    });
  }
}

export class Connection extends RecordingRecipient {
  readonly thread: Thread;
  readonly peer: Peer;
  isOpen = true;

  constructor(thread: Thread, key: Buffer, name: string) {
    super(name);
    this.thread = thread;
    this.onCrowdedOut = () => this.close();
    this.peer = thread.router.register(key, this);
  }

  send(to: Buffer, text: string): RouteResult {
    const { router } = this.thread;
    if (this.peer.size > 1) router.spoke(this.peer, this);
    const buffer = Buffer.concat([to, Buffer.from(text)]);
    return router.route(this.peer, buffer, 0, 32, buffer.length);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.thread.router.unregister(this.peer, this);
  }
}

/** Several relay threads in one thread of the test: only the order of their turns differs from real threads. */
export class World {
  readonly threads: Thread[];

  constructor(count = 2, policy: DuplicatePolicy = DuplicatePolicy.LastWriter) {
    const memory = SharedOrder.createMemory();
    this.threads = Array.from({ length: count }, () => new Thread(memory, policy));
    for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) this.join(i, j);
  }

  join(i: number, j: number): void {
    const [one, other] = createChannels();
    this.threads[i]!.links.attach(j, one);
    this.threads[j]!.links.attach(i, other);
  }

  connect(thread: number, key: Buffer, name = ''): Connection {
    return new Connection(this.threads[thread]!, key, name);
  }

  /** Runs all threads until they have read their rings. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 6; turn++) {
      for (const { links } of this.threads) links.woken();
      await nextTurn();
    }
  }

  close(): void {
    for (const { links } of this.threads) links.close();
  }
}

export async function inWorld(
  run: (world: World) => Promise<void>,
  ...settings: ConstructorParameters<typeof World>
): Promise<void> {
  const world = new World(...settings);
  try {
    await run(world);
  } finally {
    world.close();
  }
}

export const texts = (connection: Connection): string[] => connection.delivered.map(([, , text]) => text);
