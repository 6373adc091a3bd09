import assert from 'node:assert/strict';
import type { Socket } from 'node:dgram';

/** Returns the descriptor of a datagram socket of Node, which stores its handle under a symbol. */
export function datagramFd(socket: Socket): number {
  const key = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol');
  const state: unknown = key === undefined ? undefined : Reflect.get(socket, key);
  assert.ok(typeof state === 'object' && state !== null);
  const handle: unknown = Reflect.get(state, 'handle');
  assert.ok(typeof handle === 'object' && handle !== null);
  const fd: unknown = Reflect.get(handle, 'fd');
  assert.ok(typeof fd === 'number' && fd > 0);
  return fd;
}
