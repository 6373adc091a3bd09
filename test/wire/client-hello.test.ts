import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { before, describe, it } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';
import fc from 'fast-check';
import { parseClientHello } from '../../src/wire/client-hello.ts';

/** Returns the first bytes of a TLS client of this runtime. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const accepted = once(server, 'connection');
  const client = connect({ host: '127.0.0.1', port: address.port, ...options });
  client.on('error', () => undefined);
  const [socket] = (await accepted) as [NodeJS.ReadableStream & { destroy(): void }];
  let bytes = Buffer.alloc(0);
  while (parseClientHello(bytes).kind === 'more') {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
  }
  socket.destroy();
  client.destroy();
  server.close();
  return bytes;
}

/** Returns the same message in records of `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

describe('ClientHello', () => {
  let hello: Buffer;
  const expected = { kind: 'hello', serverName: 'relay.test', protocols: ['acme-tls/1', 'http/1.1'] };
  before(async () => {
    hello = await helloOf({ servername: 'relay.test', ALPNProtocols: expected.protocols });
  });

  it('shows the server name and the protocols', () => {
    assert.deepEqual(parseClientHello(hello), expected);
    assert.deepEqual(parseClientHello(Buffer.concat([hello, Buffer.from('more')])), expected);
  });

  it('has neither when the client says neither, also in TLS 1.2', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      assert.deepEqual(parseClientHello(await helloOf({ maxVersion })), {
        kind: 'hello',
        serverName: '',
        protocols: [],
      });
    }
    const bare = Buffer.from(`160301002d010000290303${'00'.repeat(32)}000002c02f0100`, 'hex');
    assert.deepEqual(parseClientHello(bare), { kind: 'hello', serverName: '', protocols: [] });
  });

  it('waits for the rest wherever it is cut', () => {
    for (let length = 0; length < hello.length; length++) {
      assert.equal(parseClientHello(hello.subarray(0, length)).kind, 'more', `${length} bytes`);
    }
  });

  it('is put together out of several records', () => {
    for (const parts of [2, 3, 16]) {
      const records = inRecords(hello, Math.ceil(hello.length / parts));
      assert.deepEqual(parseClientHello(records), expected);
      assert.equal(parseClientHello(records.subarray(0, -1)).kind, 'more');
    }
  });

  const others: Record<string, string | Buffer> = {
    'a request without TLS': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    'another record': '1703030020',
    'another message': '160303000402000020',
    'an empty record': '1603010000',
    'a record beyond all sizes': '160301ffff',
    'a message beyond all sizes': '160301000401010000',
    'a message of no bytes': '160301000401000000',
    'another record within the message': '16030100040100010017030300aa',
  };
  for (const [name, bytes] of Object.entries(others)) {
    it(`is not ${name}`, () => {
      assert.equal(parseClientHello(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'hex')).kind, 'other');
    });
  }

  it('is not one that comes in countless records', () => {
    assert.equal(parseClientHello(inRecords(hello, 4)).kind, 'other');
  });

  it('never throws, and never asks for more than its largest size', () => {
    const mutation = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(mutation, fc.nat(2000), (changes, length) => {
        const bytes = Buffer.from(hello.subarray(0, length));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const { kind } = parseClientHello(Buffer.concat([bytes, Buffer.alloc(20_000)]));
        assert.notEqual(kind, 'more');
      }),
    );
  });
});
