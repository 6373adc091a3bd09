import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

/** One end of a transfer: sends bytes on a way that may lose them, and is told of what comes. */
export interface TransferEnd {
  send(data: Uint8Array): void;
  onData: (data: Buffer) => void;
}

const BLOCK_BYTES = 1200;
const WINDOW = 128;
const HEAD_BYTES = 5;
const Kind = { Block: 0, Got: 1 } as const;
const DEADLINE_MS = 30_000;
const DEADLINE_MS_PER_MEGABYTE = 3000;

/** Sends `size` random bytes from one end to the other, again and again what is not confirmed; throws unless all arrive. */
export async function transfer(from: TransferEnd, to: TransferEnd, size: number): Promise<void> {
  const sent = randomBytes(size);
  const blocks = Math.ceil(size / BLOCK_BYTES);
  const got = Buffer.alloc(size);
  const missing = new Set(Array.from({ length: blocks }, (_, i) => i));
  const wanted = new Set(missing);
  to.onData = (data) => {
    if (data[0] !== Kind.Block || data.length < HEAD_BYTES) return;
    const number = data.readUInt32BE(1);
    data.copy(got, number * BLOCK_BYTES, HEAD_BYTES);
    wanted.delete(number);
    to.send(head(Kind.Got, number));
  };
  from.onData = (data) => {
    if (data[0] === Kind.Got) missing.delete(data.readUInt32BE(1));
  };
  const startedAt = performance.now();
  const deadlineMs = DEADLINE_MS + (size / 1e6) * DEADLINE_MS_PER_MEGABYTE;
  while (missing.size > 0) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`${missing.size} of ${blocks} blocks are missing`);
    let left = WINDOW;
    for (const number of missing) {
      if (left-- === 0) break;
      const at = number * BLOCK_BYTES;
      from.send(Buffer.concat([head(Kind.Block, number), sent.subarray(at, at + BLOCK_BYTES)]));
    }
    await pause(3);
  }
  if (wanted.size > 0 || digest(got) !== digest(sent)) throw new Error('the bytes are other ones');
}

function head(kind: number, number: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes[0] = kind;
  bytes.writeUInt32BE(number, 1);
  return bytes;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
