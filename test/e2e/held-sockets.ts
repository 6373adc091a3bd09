/** Listening sockets of the test process that a relay inherits, as from systemd. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Returns the descriptor of a server of this process, for a child. */
export function handleFd(holder: object): number {
  const handle: unknown = Reflect.get(holder, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  assert.ok(typeof fd === 'number' && fd > 0);
  return fd;
}

/** Opens a server on a free port of the loopback. */
export async function tcpServer(): Promise<Server> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Returns the port of a server. */
export function portOf(server: Server): number {
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}
