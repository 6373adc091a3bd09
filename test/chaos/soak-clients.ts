import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientHandler } from '../../src/client/options.ts';
import { DISCO_MAGIC } from '../../src/wire/frames.ts';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { encodeBindingRequest, parseBindingResponse, STUN_TRANSACTION_ID_BYTES } from '../../src/wire/stun.ts';
import { within } from '../service/support.ts';
import { type HeldPairs, STRAY } from './soak-pairs.ts';
import { pause, PATIENCE_MS, type World } from './soak-world.ts';

const EXCHANGED = 5;
const PACKET_BYTES = 400;
const FLOOD_BYTES = 32_768;
const FLOOD_EVERY_MS = 20;

/** The notices that a client has received, with functions that wait for one. */
class Ear implements DerpClientHandler {
  readonly packets: Buffer[] = [];
  readonly gone: Buffer[] = [];
  readonly problems: string[] = [];
  #look: () => void = () => undefined;

  packet(_source: Buffer, buffer: Buffer, from: number, to: number): void {
    this.packets.push(Buffer.from(buffer.subarray(from, to)));
    this.#look();
  }

  peerGone(key: Buffer): void {
    this.gone.push(Buffer.from(key));
    this.#look();
  }

  health(problem: string): void {
    this.problems.push(problem);
    this.#look();
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await within(
      new Promise<void>((resolve) => {
        this.#look = () => {
          if (condition()) resolve();
        };
        this.#look();
      }),
      what,
      PATIENCE_MS,
    );
  }
}

function disco(): Buffer {
  return Buffer.concat([DISCO_MAGIC, randomBytes(80)]);
}

/** Two clients connect, exchange packets, and leave: one in order, one with a reset. The last one must get PeerGone. */
export async function visit(world: World, held: HeldPairs, turn: number): Promise<void> {
  const [earA, earB] = [new Ear(), new Ear()];
  const a = await world.client({ handler: earA, websocket: turn % 5 === 0, fastStart: turn % 2 === 0 });
  const b = await world.client({ handler: earB, fastStart: turn % 3 !== 0 });
  try {
    if (turn % 4 === 0) a.notePreferred(true);
    await Promise.all([exchange(world, a, b, earB), exchange(world, b, a, earA), a.ping(PATIENCE_MS)]);
    world.send(a, held.someKey(), STRAY);
    world.send(b, generateNodeKeyPair().publicKey, disco());
    world.send(b, randomBytes(32), randomBytes(PACKET_BYTES));
    const first = turn % 2 === 0 ? a : b;
    const [last, ear] = first === a ? [b, earB] : [a, earA];
    await last.ping(PATIENCE_MS);
    if (turn % 4 < 2) first.close();
    else first.abort();
    await ear.until(() => ear.gone.some((key) => key.equals(first.publicKey)), 'word that the other one has gone');
    if (turn % 4 < 2) last.abort();
    else last.close();
  } finally {
    a.abort();
    b.abort();
  }
}

async function exchange(world: World, from: DerpClient, to: DerpClient, ear: Ear): Promise<void> {
  const sent = Array.from({ length: EXCHANGED }, () => randomBytes(PACKET_BYTES));
  for (const packet of sent) world.send(from, to.publicKey, packet);
  await ear.until(() => ear.packets.length >= EXCHANGED, `${EXCHANGED} packets of a visitor`);
  if (!sent.every((packet, i) => packet.equals(ear.packets[i]!))) throw new Error('a packet of a visitor was changed');
}

/** A peer stops reading while another client sends to it. The relay must end its connection, and the sender must get PeerGone. */
export async function stall(world: World): Promise<void> {
  const ear = new Ear();
  const sender = await world.client({ handler: ear });
  const victim = await world.client();
  const packet = randomBytes(FLOOD_BYTES);
  const flood = setInterval(() => world.send(sender, victim.publicKey, packet), FLOOD_EVERY_MS);
  try {
    // Only clients that got packets from the key get PeerGone.
    world.send(victim, sender.publicKey, STRAY);
    await ear.until(() => ear.packets.length > 0, 'a packet of the peer that is about to stall');
    victim.pause();
    world.ledger.cause('write_timeout');
    await ear.until(() => ear.gone.length > 0, 'the end of a peer that does not read');
  } finally {
    clearInterval(flood);
    victim.abort();
    sender.close();
  }
}

/** Opens two connections with one key: both must get a Health frame, and the remaining one an empty one. */
export async function duplicate(world: World): Promise<void> {
  const keys = generateNodeKeyPair();
  const [earA, earB] = [new Ear(), new Ear()];
  const a = await world.client({ keys, handler: earA });
  const b = await world.client({ keys, handler: earB });
  try {
    await earA.until(() => earA.problems.some((text) => text !== ''), 'word of the duplicate key');
    world.send(b, keys.publicKey, randomBytes(PACKET_BYTES));
    await earB.until(() => earB.packets.length > 0, 'a packet to a key with two connections');
    b.abort();
    await earA.until(() => earA.problems.at(-1) === '', 'word that the duplicate has gone');
  } finally {
    a.close();
    b.abort();
  }
}

/** Sends STUN requests from one socket during the whole run. */
export class StunAsker {
  readonly #world: World;
  readonly #socket: Socket = createSocket('udp4');
  readonly #last = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  async open(): Promise<void> {
    this.#socket.on('message', (message) => {
      const answer = parseBindingResponse(message, 0, message.length);
      const id = answer === null ? '' : Buffer.from(message.subarray(8, 8 + STUN_TRANSACTION_ID_BYTES)).toString('hex');
      if (this.#last.delete(id)) this.#world.ledger.stunAnswered++;
      else this.#world.ledger.problem('a STUN answer that nobody asked for');
    });
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
  }

  ask(): void {
    const id = randomBytes(STUN_TRANSACTION_ID_BYTES);
    // Lost requests must not collect here.
    if (this.#last.size > 1000) this.#last.clear();
    this.#last.add(id.toString('hex'));
    this.#world.ledger.stunSent++;
    this.#socket.send(encodeBindingRequest(id), this.#world.relay.stunPort, '127.0.0.1');
  }

  /** Waits for the last answers. */
  async close(): Promise<void> {
    await pause(500);
    this.#socket.close();
  }
}
