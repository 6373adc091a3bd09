/**
 * One end of traffic between two nodes, through their tunnel: a process of its own in the node's namespace.
 *
 *   traffic.ts fetch IP PORT    reads from a server until it ends; prints {@link Fetched}
 *   traffic.ts send IP PORT     sends a numbered datagram each 10 ms
 *   traffic.ts listen PORT GAP  prints `ready`, then an {@link Arrival} for the first datagram and after each longer silence
 *                               than GAP milliseconds
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const PERIOD_MS = 10;
const MESSAGE_BYTES = 100;

export interface Fetched {
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

/** A datagram that came after a silence. */
export interface Arrival {
  readonly number: number;
  /** Milliseconds since the datagram before; for the first one that arrives, since the first was sent. */
  readonly gapMs: number;
  /** Datagrams that were sent in between and did not arrive. */
  readonly missed: number;
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'fetch') fetchAll(rest[0]!, Number(rest[1]));
else if (role === 'send') sendMessages(rest[0]!, Number(rest[1]));
else if (role === 'listen') listen(Number(rest[0]), Number(rest[1]));

function fetchAll(ip: string, port: number): void {
  const hash = createHash('sha256');
  const startedAt = performance.now();
  let bytes = 0;
  connect(port, ip)
    .on('data', (chunk) => {
      bytes += chunk.length;
      hash.update(chunk);
    })
    .on('end', () => {
      const seconds = (performance.now() - startedAt) / 1000;
      console.log(JSON.stringify({ bytes, sha256: hash.digest('hex'), seconds } satisfies Fetched));
    });
}

function sendMessages(ip: string, port: number): void {
  const socket = createSocket('udp4');
  const message = Buffer.alloc(MESSAGE_BYTES);
  let number = 0;
  setInterval(() => {
    message.writeUInt32BE(number++);
    socket.send(message, port, ip);
  }, PERIOD_MS);
}

function listen(port: number, shortestGapMs: number): void {
  let last = 0;
  let expected = 0;
  const socket = createSocket('udp4');
  socket.on('message', (message) => {
    const now = performance.now();
    const number = message.readUInt32BE();
    const gapMs = last === 0 ? number * PERIOD_MS : now - last;
    const missed = number - expected;
    if (last === 0 || gapMs > shortestGapMs) console.log(JSON.stringify({ number, gapMs, missed } satisfies Arrival));
    last = now;
    expected = number + 1;
  });
  socket.bind(port, () => console.log('ready'));
}
