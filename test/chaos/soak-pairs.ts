import { randomBytes } from 'node:crypto';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { errorMessage } from '../../src/base/errors.ts';
import type { World } from './soak-world.ts';

const MAGIC = 0x534f414b;
/** Marks packets of visitors, which are not checked one by one. */
export const STRAY: Buffer = Buffer.from('STRAY packet');
/** Bytes of magic, sender and sequence number. */
const HEADER_BYTES = 12;
const MAX_FILL_BYTES = 1200;
const FILL: Buffer = randomBytes(65_536);
const CONNECT_AT_ONCE = 10;
/** One of this many held connections is a WebSocket, and one has its home here. */
const WEBSOCKET_EVERY = 10;
const HOME_EVERY = 2;

/** Returns the position and the length of a packet's filling in {@link FILL}: both follow from the sender and the number of the packet. */
function filling(sender: number, sequence: number): Buffer {
  const bytes = (sequence * 37 + sender) % MAX_FILL_BYTES;
  const from = (sequence * 101 + sender * 7) % (FILL.length - MAX_FILL_BYTES);
  return FILL.subarray(from, from + bytes);
}

interface Member {
  readonly client: DerpClient;
  sent: number;
  received: number;
}

/** Pairs of connections that stay for the whole run, send each other numbered packets and check every byte. */
export class HeldPairs {
  readonly #world: World;
  readonly #members: Member[] = [];
  readonly #packet = Buffer.alloc(HEADER_BYTES + MAX_FILL_BYTES);
  #turn = 0;
  #closing = false;
  /** Received packets of visitors. */
  strays = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get size(): number {
    return this.#members.length;
  }

  /** Packets under way. */
  get underWay(): number {
    return this.#members.reduce((sum, { sent, received }) => sum + sent - received, 0);
  }

  get received(): number {
    return this.#members.reduce((sum, { received }) => sum + received, 0);
  }

  async connect(count: number): Promise<void> {
    for (let from = 0; from < count; from += CONNECT_AT_ONCE) {
      const batch = Array.from({ length: Math.min(CONNECT_AT_ONCE, count - from) }, (_, i) => this.#join(from + i));
      this.#members.push(...(await Promise.all(batch)));
    }
  }

  async #join(index: number): Promise<Member> {
    const client = await this.#world.client({ websocket: index % WEBSOCKET_EVERY === 0 });
    const member: Member = { client, sent: 0, received: 0 };
    client.handler = {
      packet: (source, buffer, from, to) => this.#arrived(index, source, buffer.subarray(from, to)),
      closed: (error) => {
        if (!this.#closing) this.#world.ledger.problem(`held connection ${index} was lost: ${errorMessage(error)}`);
      },
    };
    if (index % HOME_EVERY === 0) client.notePreferred(true);
    return member;
  }

  /** Sends the next packet of the next client to its partner. */
  sendNext(): void {
    const index = this.#turn++ % this.#members.length;
    const member = this.#members[index]!;
    if (!member.client.isOpen) return;
    const fill = filling(index, member.sent);
    this.#packet.writeUInt32BE(MAGIC, 0);
    this.#packet.writeUInt32BE(index, 4);
    this.#packet.writeUInt32BE(member.sent, 8);
    this.#packet.set(fill, HEADER_BYTES);
    const to = this.#members[index ^ 1]!.client.publicKey;
    if (this.#world.send(member.client, to, this.#packet.subarray(0, HEADER_BYTES + fill.length))) member.sent++;
    else this.#world.ledger.problem(`held connection ${index} takes no packets`);
  }

  /** Returns the key of a client. */
  someKey(): Buffer {
    return this.#members[Math.floor(Math.random() * this.#members.length)]!.client.publicKey;
  }

  close(): void {
    this.#closing = true;
    for (const { client } of this.#members) client.close();
  }

  #arrived(index: number, source: Buffer, packet: Buffer): void {
    if (packet.equals(STRAY)) {
      this.strays++;
      return;
    }
    const partner = index ^ 1;
    const sender = this.#members[partner]!;
    const receiver = this.#members[index]!;
    const { ledger } = this.#world;
    const expected = receiver.received;
    const isOurs =
      packet.length >= HEADER_BYTES && packet.readUInt32BE(0) === MAGIC && packet.readUInt32BE(4) === partner;
    if (!isOurs || !source.equals(sender.client.publicKey)) {
      ledger.problem(`held connection ${index} got a packet that its partner did not send`);
      return;
    }
    const sequence = packet.readUInt32BE(8);
    if (sequence !== expected) ledger.problem(`held connection ${index}: packet ${sequence} in place of ${expected}`);
    if (!packet.subarray(HEADER_BYTES).equals(filling(partner, sequence))) {
      ledger.problem(`held connection ${index}: packet ${sequence} was changed on its way`);
    }
    receiver.received = sequence + 1;
  }
}
