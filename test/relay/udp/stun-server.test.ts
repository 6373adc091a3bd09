import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { Clock } from '../../../src/base/clock.ts';
import { SourceSketch } from '../../../src/relay/udp/source-sketch.ts';
import { StunServer, type StunServerOptions } from '../../../src/relay/udp/stun-server.ts';
import { Counters } from '../../../src/observe/counters.ts';
import { createNodeTransport } from '../../../src/transport/node/index.ts';
import type { DatagramSocket, Transport } from '../../../src/transport/port.ts';
import { PrefixSet } from '../../../src/base/ip-prefix.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../../src/wire/stun.ts';

const ID = Buffer.from('0102030405060708090a0b0c', 'hex');
const GENERIC = Buffer.from(`000100002112a442${ID.toString('hex')}`, 'hex');

/** A socket that records sent datagrams, or refuses to send. */
class RecordingSocket implements DatagramSocket {
  readonly address = { ip: '127.0.0.1', port: 3478 };
  readonly sent: { bytes: Buffer; ip: string; port: number }[] = [];
  full = false;
  closed = false;

  send(buffer: Buffer, from: number, to: number, ip: string, port: number): boolean {
    if (this.full) return false;
    this.sent.push({ bytes: Buffer.from(buffer.subarray(from, to)), ip, port });
    return true;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

function setUp(options: Partial<StunServerOptions> = {}) {
  const counters = new Counters();
  const clock = new Clock();
  const socket = new RecordingSocket();
  const server = new StunServer({ counters, clock, ...options });
  const receive = (bytes: Buffer, ip = '192.0.2.1', port = 54321): number => {
    const padded = Buffer.concat([Buffer.of(9, 9, 9), bytes, Buffer.of(9)]);
    const before = socket.sent.length;
    server.datagram(socket, padded, 3, padded.length - 1, ip, port);
    return socket.sent.length - before;
  };
  return { counters, clock, socket, server, receive };
}

const GENERIC_RULE = { perSecond: 3, burst: 3, siteFactor: 4 };

const parse = (bytes: Buffer) => parseBindingResponse(bytes, 0, bytes.length);

async function clientSocket(t: TestContext) {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return socket;
}

describe('STUN server', () => {
  it('§9.88 answers a valid request over UDP with the same transaction id and ignores anything else', async (t) => {
    const { server, counters } = setUp();
    const address = await server.bind(createNodeTransport(), '::', 0);
    t.after(() => server.close());
    const client = await clientSocket(t);
    const received: Buffer[] = [];
    client.on('message', (bytes) => received.push(bytes));
    client.send(Buffer.from('noise'), address.port, '127.0.0.1');
    client.send(GENERIC, address.port, '127.0.0.1');
    client.send(encodeBindingRequest(ID), address.port, '127.0.0.1');
    await once(client, 'message');
    assert.equal(received.length, 1);
    assert.deepEqual(parse(received[0]!), { transactionId: ID, ip: '127.0.0.1', port: client.address().port });
    assert.equal(counters.stunNotStun, 2);
    assert.equal(counters.stunSuccess, 1);
  });

  it('counts by disposition and address family', () => {
    const { receive, counters, socket } = setUp();
    assert.equal(receive(encodeBindingRequest(ID)), 1);
    assert.equal(receive(encodeBindingRequest(ID), '2001:db8::1'), 1);
    assert.equal(receive(GENERIC), 0);
    assert.equal(receive(Buffer.alloc(0)), 0);
    assert.equal(receive(encodeBindingRequest(ID), 'not an address'), 0);
    socket.full = true;
    assert.equal(receive(encodeBindingRequest(ID)), 0);
    const { stunSuccess, stunIpv4, stunIpv6, stunNotStun, stunWriteErrors } = counters;
    assert.deepEqual([stunSuccess, stunIpv4, stunIpv6, stunNotStun, stunWriteErrors], [2, 1, 1, 2, 2]);
    assert.equal(socket.sent[0]!.bytes.length, 32);
    assert.equal(socket.sent[1]!.bytes.length, 44);
  });

  it('survives socket errors, counts them and passes them on', () => {
    const errors: Error[] = [];
    const { server, counters } = setUp({ onError: (error) => errors.push(error) });
    server.error(new Error('EPERM'));
    assert.equal(counters.stunReadErrors, 1);
    assert.equal(errors.length, 1);
    setUp().server.error(new Error('nobody listens'));
  });

  it('is silent while there is a reason', () => {
    const { server, receive } = setUp();
    server.setSilent('draining');
    assert.equal(server.silentReason, 'draining');
    assert.equal(receive(encodeBindingRequest(ID)), 0);
    server.setSilent(null);
    assert.equal(receive(encodeBindingRequest(ID)), 1);
  });

  it('listens on several addresses and closes them', async () => {
    const { server, socket } = setUp();
    const other = new RecordingSocket();
    const sockets = [socket, other];
    const transport = { bindDatagram: () => Promise.resolve(sockets.shift()!) } as unknown as Transport;
    await server.bind(transport, '127.0.0.1', 3478);
    await server.bind(transport, '::1', 3478);
    assert.equal(server.addresses.length, 2);
    await server.close();
    assert.ok(socket.closed && other.closed);
    assert.equal(server.addresses.length, 0);
  });

  it('answers generic clients only when told to, and limits them per source without touching Tailscale’s', () => {
    const { receive, counters, clock } = setUp({ generic: GENERIC_RULE });
    clock.tick(0);
    const answers = Array.from({ length: 5 }, () => receive(GENERIC));
    assert.deepEqual(answers, [1, 1, 1, 0, 0]);
    assert.equal(counters.stunRateLimited, 2);
    assert.equal(receive(encodeBindingRequest(ID)), 1);
    assert.equal(receive(GENERIC, '192.0.2.2'), 1);
    assert.equal(receive(Buffer.from('noise')), 0);
    clock.tick(900);
    assert.equal(receive(GENERIC), 0);
    clock.tick(1000);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => receive(GENERIC)),
      [1, 1, 1, 0],
    );
  });
});

describe('STUN requests of Tailscale clients from one source', () => {
  const limit = { perSecond: 2, burst: 4, siteFactor: 2 };
  const ask = encodeBindingRequest(ID);

  it('are answered up to the limit, and others go on', () => {
    const { receive, counters, clock } = setUp({ limit, exempt: new PrefixSet(['10.0.0.0/8']) });
    clock.tick(0);
    const answers = (count: number, ip: string): number =>
      Array.from({ length: count }, () => receive(ask, ip)).reduce((sum, sent) => sum + sent, 0);
    assert.equal(answers(10, '192.0.2.1'), 4);
    assert.equal(counters.stunRateLimited, 6);
    assert.equal(answers(10, '192.0.2.2'), 4);
    assert.equal(answers(10, '10.0.0.1'), 10, 'exempt');
    clock.tick(1000);
    assert.equal(answers(10, '192.0.2.1'), 2);
  });

  it('count for the /64 and, with a larger limit, for the /48 of an IPv6 address', () => {
    const { receive, clock } = setUp({ limit });
    clock.tick(0);
    const answers = Array.from({ length: 40 }, (_, i) => receive(ask, `2001:db8:7:${(i >> 3).toString(16)}::${i + 1}`));
    assert.deepEqual(
      [0, 8, 16].map((from) => answers.slice(from, from + 8).reduce((sum, sent) => sum + sent, 0)),
      [4, 4, 0],
    );
    assert.equal(receive(ask, '2001:db8:8::1'), 1);
  });
});

describe('source sketch', () => {
  it('treats an IPv6 /64 as one source and an IPv4 address as one', () => {
    const sketch = new SourceSketch({ perSecond: 1, burst: 1, siteFactor: 4 });
    assert.ok(sketch.take('2001:db8:0:1::1'));
    assert.ok(!sketch.take('2001:db8:0:1:ffff::2'));
    assert.ok(sketch.take('2001:db8:0:2::1'));
    assert.ok(sketch.take('192.0.2.1'));
    assert.ok(!sketch.take('::ffff:192.0.2.1'));
    assert.ok(sketch.take('192.0.2.2'));
    assert.ok(!sketch.take('nonsense'));
  });

  it('seldom refuses one source for the requests of a thousand others', () => {
    const sketch = new SourceSketch({ perSecond: 1, burst: 1, siteFactor: 4 });
    let refused = 0;
    for (let i = 0; i < 1000; i++) if (!sketch.take(`198.51.${i >> 8}.${i & 255}`)) refused += 1;
    assert.ok(refused <= 20, `${refused} of 1000`);
  });

  it('drains slow rates too, and forgets a source that is quiet', () => {
    const sketch = new SourceSketch({ perSecond: 0.1, burst: 1, siteFactor: 4 });
    sketch.drain(0);
    assert.ok(sketch.take('192.0.2.1'));
    sketch.drain(9000);
    assert.ok(!sketch.take('192.0.2.1'));
    sketch.drain(10_000);
    assert.ok(sketch.take('192.0.2.1'));
  });
});
