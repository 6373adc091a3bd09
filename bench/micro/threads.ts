import { randomBytes } from 'node:crypto';
import { Counters, type PacketKind } from '../../src/observe/counters.ts';
import { LocalOrder } from '../../src/relay/routing/event-order.ts';
import type { Peer } from '../../src/relay/routing/peer.ts';
import { Delivery, type Recipient, type Source } from '../../src/relay/routing/recipient.ts';
import { Router } from '../../src/relay/routing/router.ts';
import { QueueSpace } from '../../src/relay/session/frame-queue.ts';
import { LoopTurn, type Flushable } from '../../src/relay/session/loop-turn.ts';
import { Outbox } from '../../src/relay/session/outbox.ts';
import { Traffic } from '../../src/relay/session/traffic.ts';
import { createChannels, type ThreadChannel } from '../../src/relay/threads/thread-link.ts';
import { ThreadLinks } from '../../src/relay/threads/thread-links.ts';
import type { Stream } from '../../src/transport/port.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES } from '../../src/wire/frames.ts';
import { measure } from './harness.ts';

const PACKET_BYTES = 1200;
/** Packets per turn of the event loop, all for one recipient. */
const BATCH = 44;

/** The way of a packet from one thread to the outbox of another, with both ends in this thread: what it costs without a second core. */
export function benchThreads(): void {
  const [one, other] = createChannels();
  const [here, there] = [new End(), new End()];
  here.links.attach(1, one);
  there.links.attach(0, other);
  const source = here.router.register(randomBytes(KEY_BYTES), here.recipient());
  const destination = randomBytes(KEY_BYTES);
  there.router.register(destination, there.recipient());
  const packet = encodeFrame(FrameType.SendPacket, destination, randomBytes(PACKET_BYTES));
  const payloadAt = FRAME_HEADER_BYTES + KEY_BYTES;
  here.links.woken();
  there.links.woken();
  const route = (router: Router, from: Peer): void => {
    for (let i = 0; i < BATCH; i++) {
      router.route(from, packet, FRAME_HEADER_BYTES, payloadAt, packet.length);
    }
  };
  measure(`Router to Outbox, ${BATCH} packets of 1200 bytes, another thread, per packet`, (times) => {
    for (let i = 0; i < times; i += BATCH) {
      route(here.router, source);
      here.turn.end();
      there.links.woken();
      there.turn.end();
    }
  });
  closePorts(one, other);
  const local = there.router.register(randomBytes(KEY_BYTES), there.recipient());
  measure(`Router to Outbox, ${BATCH} packets of 1200 bytes, the same thread, per packet`, (times) => {
    for (let i = 0; i < times; i += BATCH) {
      route(there.router, local);
      there.turn.end();
    }
  });
}

function closePorts(...channels: readonly ThreadChannel[]): void {
  for (const { port } of channels) port.close();
}

/** A turn that ends when it is told to. */
class ManualTurn extends LoopTurn {
  #touched: Flushable[] = [];

  override flushAtEnd(flushable: Flushable): void {
    this.#touched.push(flushable);
  }

  override resumeAtEnd(): void {
    // Every turn reads the rings anyway.
  }

  end(): void {
    const touched = this.#touched;
    this.#touched = [];
    for (const flushable of touched) flushable.flush();
  }
}

/** One of two threads. */
class End {
  readonly turn: ManualTurn = new ManualTurn();
  readonly router: Router;
  readonly links: ThreadLinks;
  readonly #counters = new Counters();

  constructor() {
    const { turn } = this;
    const counters = this.#counters;
    this.router = new Router(counters, 'last-writer', { connectionsPerKey: 16, contactsPerClient: 4096 });
    const ignore = (): void => undefined;
    this.links = new ThreadLinks({
      ...{ router: this.router, turn, counters, order: new LocalOrder() },
      ...{ sourceEvent: ignore, keyUsed: ignore },
    });
  }

  /** A connection whose outbox is written at the end of each turn. */
  recipient(): Recipient {
    const stream = { write: (_buffer: Buffer, from: number, to: number) => to - from } as unknown as Stream;
    const limits = { queueBytes: 1_048_576, discoQueueBytes: 32_768 };
    const outbox = new Outbox(stream, this.#counters, limits, new QueueSpace(268_435_456), new Traffic());
    return new OutboxRecipient(outbox, this.turn);
  }
}

class OutboxRecipient implements Recipient, Flushable {
  readonly #outbox: Outbox;
  readonly #turn: LoopTurn;
  #isTouched = false;

  constructor(outbox: Outbox, turn: LoopTurn) {
    this.#outbox = outbox;
    this.#turn = turn;
  }

  deliver(source: Source, _to: unknown, buffer: Buffer, from: number, to: number, kind: PacketKind): Delivery {
    this.#outbox.packet(source.words, buffer, from, to, kind);
    if (!this.#isTouched) {
      this.#isTouched = true;
      this.#turn.flushAtEnd(this);
    }
    return Delivery.Taken;
  }

  flush(): void {
    this.#isTouched = false;
    this.#outbox.flush();
  }

  whenTaking(): void {}
  peerGone(): void {}
  health(): void {}
  crowdedOut(): void {}
  closePeer(): void {}
  presence(): ReturnType<Recipient['presence']> {
    return { ip: '', port: 0, flags: 1, app: '' };
  }
}
