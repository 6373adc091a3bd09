import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { encodeBindingRequest } from '../../src/wire/stun.ts';
import { TestRelay, within } from './support.ts';

const LIMIT = 20;
const REQUESTS = 3 * LIMIT;

async function client(ip: string): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, ip);
  await once(socket, 'listening');
  return socket;
}

test('STUN: a client that asks too often gets no answer and is counted, and others are answered', async () => {
  const relay = await TestRelay.start({
    TOWPATH_SOURCES_STUN_PER10_SECONDS: String(LIMIT),
    TOWPATH_SOURCES_EXEMPT: '192.0.2.0/24',
  });
  const [noisy, quiet] = [await client('127.0.0.1'), await client('127.0.0.2')];
  try {
    const { port } = relay.relay.addresses.stun[0]!;
    const { counters } = relay.relay;
    for (let i = 0; i < REQUESTS; i++) noisy.send(encodeBindingRequest(randomBytes(12)), port, '127.0.0.1');
    await relay.until(() => counters.stunSuccess + counters.stunRateLimited === REQUESTS, 'all are counted');
    assert.ok(counters.stunSuccess >= LIMIT && counters.stunRateLimited > 0, JSON.stringify(counters));
    const answer = once(quiet, 'message');
    quiet.send(encodeBindingRequest(randomBytes(12)), port, '127.0.0.1');
    await within(answer, 'the answer to another source');
  } finally {
    noisy.close();
    quiet.close();
    await relay.stop();
  }
});
