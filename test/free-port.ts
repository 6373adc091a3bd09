import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports of outgoing connections, so that a free port stays free until the test listens on it. */
const PORTS_FROM = 15_000;
const PORTS_TO = 32_000;
let nextPort = randomInt(PORTS_FROM, PORTS_TO);

/** Returns a TCP port of 127.0.0.1 on which no program listens; returns each port once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    if (nextPort === PORTS_TO) nextPort = PORTS_FROM;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
