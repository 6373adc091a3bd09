import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

/** One end of a transfer: sends bytes on a path that may lose them, and receives bytes. */
export interface TransferEnd {
  send(data: Uint8Array): void;
  onData: (data: Buffer) => void;
}

/** Length of a block, as in a WireGuard message, and most bytes under way: fewer than the default buffers of sockets. */
export const USUAL_BLOCK_BYTES = 1200;
const IN_FLIGHT_BYTES = 100_000;
const HEAD_BYTES = 5;
const Kind = { Block: 0, Got: 1 } as const;
const LOST_AFTER_MS = 30;
const LOOK_MS = 5;
const DEADLINE_MS = 60_000;

/** The source of all blocks, each from another position. */
const SOURCE = randomBytes(256 * 1024);

/** Sends `size` bytes from one end to the other, and repeats unconfirmed blocks. Throws an Error unless all bytes arrive unchanged. */
export async function transfer(
  from: TransferEnd,
  to: TransferEnd,
  size: number,
  blockBytes: number = USUAL_BLOCK_BYTES,
): Promise<void> {
  const blocks = Math.ceil(size / blockBytes);
  const window = Math.max(1, Math.floor(IN_FLIGHT_BYTES / blockBytes));
  const wanted = new Set(Array.from({ length: blocks }, (_, i) => i));
  const inFlight = new Map<number, number>();
  let next = 0;
  let wrong = 0;
  let confirmed = 0;
  to.onData = (data) => {
    if (data[0] !== Kind.Block || data.length < HEAD_BYTES) return;
    const number = data.readUInt32BE(1);
    if (!data.equals(block(number, blockBytes))) wrong++;
    wanted.delete(number);
    to.send(head(Kind.Got, number));
  };
  const sendBlock = (number: number): void => {
    inFlight.set(number, performance.now());
    from.send(block(number, blockBytes));
  };
  const fill = (): void => {
    while (inFlight.size < window && next < blocks) sendBlock(next++);
  };
  from.onData = (data) => {
    if (data[0] !== Kind.Got || !inFlight.delete(data.readUInt32BE(1))) return;
    confirmed++;
    fill();
  };
  const end = performance.now() + DEADLINE_MS;
  fill();
  while (inFlight.size > 0) {
    await pause(LOOK_MS);
    if (performance.now() > end) throw new Error(`${blocks - confirmed} of ${blocks} blocks are missing`);
    for (const [number, sentAt] of inFlight) if (performance.now() - sentAt > LOST_AFTER_MS) sendBlock(number);
  }
  if (wanted.size > 0 || wrong > 0) throw new Error(`${wanted.size} blocks never came, ${wrong} were other ones`);
}

function block(number: number, bytes: number): Buffer {
  const at = (number * 97) % (SOURCE.length - bytes);
  return Buffer.concat([head(Kind.Block, number), SOURCE.subarray(at, at + bytes)]);
}

function head(kind: number, number: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes[0] = kind;
  bytes.writeUInt32BE(number, 1);
  return bytes;
}
