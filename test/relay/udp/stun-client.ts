import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { encodeBindingRequest, parseBindingResponse } from '../../../src/wire/stun.ts';
import { within } from '../../service/support.ts';

/**
 * Sends a datagram that is not STUN, and then a request, with a socket that is connected to `ip` and so gets answers only
 * from there. Fails when the request is not answered.
 */
export async function askStun(ip: string, port: number): Promise<void> {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  try {
    const connected = once(socket, 'connect');
    socket.connect(port, ip);
    await connected;
    const transaction = randomBytes(12);
    const answer = once(socket, 'message') as Promise<[Buffer]>;
    socket.send('no STUN');
    socket.send(encodeBindingRequest(transaction));
    const [bytes] = await within(answer, `an answer from ${ip}`);
    assert.ok(parseBindingResponse(bytes, 0, bytes.length)?.transactionId.equals(transaction));
  } finally {
    socket.close();
  }
}
