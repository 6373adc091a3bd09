import { open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { parseIp } from '../../base/ip-address.ts';
import type { Endpoint } from '../port.ts';

/** Linux lists the TCP connections of the network namespace in these, with the bytes that wait in each. */
const TABLES: readonly { readonly file: string; readonly addressChars: number }[] = [
  { file: '/proc/net/tcp', addressChars: 8 },
  { file: '/proc/net/tcp6', addressChars: 32 },
];
/** Read and parsed at once: about 450 connections. */
const PART_BYTES = 65_536;
/** The first digits of an IPv4 address in the IPv6 table, on machines of either byte order. */
const MAPPED_PREFIXES: readonly string[] = ['0000000000000000FFFF0000', '00000000000000000000FFFF'];
const IPV4_CHARS = 8;
const PORT_CHARS = 4;
const STATE_CHARS = 2;
const QUEUE_CHARS = 8;
const EMPTY_QUEUE = '0'.repeat(QUEUE_CHARS);
const WORD_BYTES = 4;
const IS_LITTLE_ENDIAN = endianness() === 'LE';

/** Names a TCP connection by its two ends, as {@link readSendQueues} reports it. */
export function connectionName(local: Endpoint, remote: Endpoint): string {
  return `${endName(local)} ${endName(remote)}`;
}

/**
 * Returns the bytes of each TCP connection that its peer has not acknowledged yet, by {@link connectionName}. A
 * connection that is not in the map has none. Null when the system has no such table. Adds the milliseconds of work on
 * this thread to `work`.
 */
export async function readSendQueues(work: { ms: number } = { ms: 0 }): Promise<ReadonlyMap<string, number> | null> {
  const queues = new Map<string, number>();
  let isReadable = false;
  for (const { file, addressChars } of TABLES) {
    try {
      await readTable(file, addressChars, queues, work);
      isReadable = true;
    } catch {
      // Not Linux, no IPv6, no /proc, or no descriptor left: this table cannot be read.
    }
  }
  return isReadable ? queues : null;
}

async function readTable(
  file: string,
  addressChars: number,
  queues: Map<string, number>,
  work: { ms: number },
): Promise<void> {
  const handle = await open(file);
  try {
    const part = Buffer.allocUnsafe(PART_BYTES);
    let rest = '';
    for (;;) {
      const { bytesRead } = await handle.read(part, 0, PART_BYTES, null);
      if (bytesRead === 0) return;
      const startedAt = performance.now();
      const text = rest + part.toString('latin1', 0, bytesRead);
      let from = 0;
      for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
        readLine(text, from, addressChars, queues);
        from = to + 1;
      }
      rest = text.slice(from);
      work.ms += performance.now() - startedAt;
    }
  } finally {
    await handle.close();
  }
}

/** A line is `number: local remote state sendQueue:receiveQueue …`, all hexadecimal and of fixed width but the number. */
function readLine(text: string, from: number, addressChars: number, queues: Map<string, number>): void {
  const endChars = addressChars + 1 + PORT_CHARS;
  const local = text.indexOf(': ', from) + 2;
  const remote = local + endChars + 1;
  const queue = remote + endChars + 1 + STATE_CHARS + 1;
  const waiting = text.slice(queue, queue + QUEUE_CHARS);
  if (waiting === EMPTY_QUEUE) return;
  const bytes = Number.parseInt(waiting, 16);
  // The line of headings.
  if (Number.isNaN(bytes)) return;
  const name = `${tableEnd(text, local, addressChars)} ${tableEnd(text, remote, addressChars)}`;
  queues.set(name, bytes);
}

function tableEnd(text: string, at: number, addressChars: number): string {
  const end = text.slice(at, at + addressChars + 1 + PORT_CHARS);
  return MAPPED_PREFIXES.some((prefix) => end.startsWith(prefix)) ? end.slice(addressChars - IPV4_CHARS) : end;
}

function endName({ ip, port }: Endpoint): string {
  const bytes = parseIp(ip) ?? Buffer.alloc(0);
  let address = '';
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    const word = IS_LITTLE_ENDIAN ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
    address += word.toString(16).padStart(2 * WORD_BYTES, '0');
  }
  return `${address}:${port.toString(16).padStart(PORT_CHARS, '0')}`.toUpperCase();
}
