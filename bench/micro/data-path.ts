import { randomBytes } from 'node:crypto';
import { Counters, PacketKind } from '../../src/observe/counters.ts';
import { Peer } from '../../src/relay/routing/peer.ts';
import { PeerTable } from '../../src/relay/routing/peer-table.ts';
import { Delivery, type Recipient } from '../../src/relay/routing/recipient.ts';
import { Router } from '../../src/relay/routing/router.ts';
import { QueueSpace } from '../../src/relay/session/frame-queue.ts';
import { Outbox } from '../../src/relay/session/outbox.ts';
import { Traffic } from '../../src/relay/session/traffic.ts';
import type { Stream } from '../../src/transport/port.ts';
import { FrameDecoder, HeaderVerdict } from '../../src/wire/frame-decoder.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType, KEY_BYTES } from '../../src/wire/frames.ts';
import { measure, sink } from './harness.ts';

const PACKET_BYTES = 1200;
/** Frames per read. */
const FRAMES_PER_READ = 11;
const QUEUE_BYTES = 262_144;
const DISCO_QUEUE_BYTES = 32_768;

/** All steps of a packet between two system calls. */
export function benchDataPath(): void {
  benchDecoder();
  for (const peers of [20, 10_000]) benchTable(peers);
  benchRouter();
  benchOutbox();
}

function benchDecoder(): void {
  let frames = 0;
  const decoder = new FrameDecoder({ header: () => HeaderVerdict.Take, frame: () => (frames += 1) });
  const read = Buffer.concat(Array.from({ length: FRAMES_PER_READ }, () => sendPacket(randomBytes(KEY_BYTES))));
  measure('FrameDecoder, whole 1200-byte packets, per frame', (times) => {
    for (let i = 0; i < times; i += FRAMES_PER_READ) decoder.push(read, 0, read.length);
  });
  const whole = read.length / FRAMES_PER_READ;
  const half = whole >> 1;
  measure('FrameDecoder, a packet in two reads, per frame', (times) => {
    for (let i = 0; i < times; i++) {
      decoder.push(read, 0, half);
      decoder.push(read, half, whole);
    }
  });
  sink.value = frames;
}

function benchTable(count: number): void {
  const table = new PeerTable();
  const keys = Array.from({ length: count }, () => randomBytes(KEY_BYTES));
  for (const key of keys) table.add(new Peer(key));
  // One buffer, as in a read window; the order of keys is random already.
  const window = Buffer.concat(keys);
  measure(`PeerTable.find, ${count} peers`, (times) => {
    let found: Peer | null = null;
    for (let i = 0; i < times; i++) found = table.find(window, (i % count) * KEY_BYTES);
    sink.value = found;
  });
  const unknown = randomBytes(KEY_BYTES);
  measure(`PeerTable.find, unknown key, ${count} peers`, (times) => {
    let found: Peer | null = null;
    for (let i = 0; i < times; i++) found = table.find(unknown, 0);
    sink.value = found;
  });
}

function benchRouter(): void {
  const router = new Router(new Counters(), 'last-writer', { connectionsPerKey: 16, contactsPerClient: 4096 });
  const recipient: Recipient = {
    deliver: () => Delivery.Taken,
    whenTaking: () => undefined,
    peerGone: () => undefined,
    health: () => undefined,
    crowdedOut: () => undefined,
    closePeer: () => undefined,
    presence: () => ({ ip: '', port: 0, flags: 1, app: '' }),
  };
  const source = router.register(randomBytes(KEY_BYTES), { ...recipient });
  const destination = router.register(randomBytes(KEY_BYTES), recipient);
  const frame = sendPacket(destination.key);
  measure('Router.route, known destination', (times) => {
    for (let i = 0; i < times; i++) {
      sink.value = router.route(source, frame, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + KEY_BYTES, frame.length);
    }
  });
}

function benchOutbox(): void {
  let writable = true;
  const stream = {
    write: (_buffer: Buffer, from: number, to: number) => (writable ? to - from : 0),
  } as unknown as Stream;
  const limits = { queueBytes: QUEUE_BYTES, discoQueueBytes: DISCO_QUEUE_BYTES };
  const outbox = new Outbox(stream, new Counters(), limits, new QueueSpace(268_435_456), new Traffic());
  const source = new Peer(randomBytes(KEY_BYTES));
  const packet = randomBytes(PACKET_BYTES);
  for (const batch of [1, FRAMES_PER_READ]) {
    measure(`Outbox, ${batch} packets of 1200 bytes and a flush, per packet`, (times) => {
      for (let i = 0; i < times; i += batch) {
        for (let one = 0; one < batch; one++) outbox.packet(source.words, packet, 0, PACKET_BYTES, PacketKind.Other);
        outbox.flush();
      }
    });
  }
  writable = false;
  measure('Outbox, full queue: drops the oldest for each new packet', (times) => {
    for (let i = 0; i < times; i++) outbox.packet(source.words, packet, 0, PACKET_BYTES, PacketKind.Other);
  });
}

function sendPacket(destination: Buffer): Buffer {
  return encodeFrame(FrameType.SendPacket, destination, randomBytes(PACKET_BYTES));
}
