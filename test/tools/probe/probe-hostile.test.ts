import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { encodeFrame, type FrameType } from '../../../src/wire/frames.ts';
import { encodeServerInfo, upgradeResponseHead } from '../../../src/wire/handshake.ts';
import { FakeRelay, type FakeConnection, type Script } from '../../client/fake-relay.ts';
import { probe, step } from './probe-support.ts';

/** Bytes of an endless answer after which the probe must have ended. */
const ENOUGH_BYTES = 64 * 1024 * 1024;
const CHUNK = Buffer.alloc(65_536, 0x61);

/** Writes as long as the other side reads. */
function forever(connection: FakeConnection, chunk: Buffer = CHUNK): void {
  let bytes = 0;
  const more = (): void => {
    if (!connection.relay.connections.has(connection)) return;
    bytes += chunk.length;
    assert.ok(bytes < ENOUGH_BYTES, 'the probe reads without end');
    connection.write(chunk);
    setImmediate(more);
  };
  more();
}

/** Writes one byte each 20 ms, so that the answer is never silent and never complete. */
function drip(connection: FakeConnection, byte: string): void {
  const timer = setInterval(() => {
    if (connection.relay.connections.has(connection)) connection.write(byte);
    else clearInterval(timer);
  }, 20);
}

function answer(text: string, then: (connection: FakeConnection) => void = () => undefined): Partial<Script> {
  return {
    upgrade(connection) {
      connection.write(text);
      then(connection);
    },
  };
}

describe('towpath probe of relays that are hostile', () => {
  let relay: FakeRelay | null = null;
  afterEach(async () => {
    await relay?.stop();
    relay = null;
  });

  async function refused(script: Partial<Script>): Promise<string> {
    relay = await FakeRelay.start(script);
    const { out, code } = await probe(relay.url, '--stun-port', '-1', '--timeout', '2', '--packets', '1');
    assert.equal(code, 1, out);
    assert.doesNotMatch(out, /[^\P{C}\n]/u);
    return out;
  }

  const HEADS: Record<string, Partial<Script>> = {
    'headers without end': answer('HTTP/1.1 101 x\r\n', (connection) => forever(connection)),
    'headers drop by drop': answer('HTTP/1.1 101 x\r\nA: ', (connection) => drip(connection, 'a')),
    'an answer that is no HTTP': answer('\u0000\u0001SSH-2.0\r\n\r\n'),
    'a status that is none': answer('HTTP/1.1 1e3 ok\r\n\r\n'),
    'a head of spaces': answer(`HTTP/1.1 500 ${' '.repeat(15_000)}\n${' '.repeat(10)}x\r\n\r\n`),
    silence: { upgrade: () => undefined },
  };
  for (const [name, script] of Object.entries(HEADS)) {
    it(`${name}: ends with a plain message`, async () => {
      assert.match(step(await refused(script), 'Login  '), /✗ /);
    });
  }

  it('a greeting of 2 GB, and one drop by drop', async () => {
    const head = (connection: FakeConnection): string => upgradeResponseHead(connection.relay.keys.publicKey);
    const large = await refused({
      upgrade: (connection) => {
        connection.write(head(connection), Buffer.from('017fffffff', 'hex'));
        forever(connection);
      },
    });
    assert.match(step(large, 'Login  '), /its first frame has 2147483647 bytes/);
    await relay?.stop();
    const slow = await refused({
      upgrade: (connection) => {
        connection.write(head(connection));
        drip(connection, '\u0001');
      },
    });
    assert.match(step(slow, 'Login  '), /✗ /);
  });

  it('a frame of 2 GB after the login, and frames without end', async () => {
    const login = (then: (connection: FakeConnection) => void): Partial<Script> => ({
      login(connection, sharedKey) {
        connection.write(encodeServerInfo({ sharedKey, bytesPerSecond: 0, burstBytes: 0 }));
        then(connection);
      },
      frame: () => undefined,
    });
    const large = await refused(
      login((connection) => {
        connection.write(Buffer.from('057fffffff', 'hex'));
      }),
    );
    assert.match(step(large, 'Packets'), /✗ /);
    await relay?.stop();
    const unknown = encodeFrame(0x55 as FrameType, Buffer.alloc(1000));
    const endless = await refused(
      login((connection) => {
        drip(connection, unknown.toString('latin1'));
      }),
    );
    assert.match(step(endless, 'Packets'), /✗ /);
  });
});
