import { Duplex } from 'node:stream';
import { initiate, NoiseCipher, NoiseError, NOISE_HEADER_BYTES, NoiseMessage } from '../../../src/tailnet/noise.ts';
import { NoiseStream } from '../../../src/tailnet/noise-stream.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { respond } from '../../tailnet/noise-responder.ts';
import { applyEdits, edits } from '../mutate.ts';
import { LOW_ORDER_KEYS } from '../../wire/low-order-keys.ts';
import { check, type Target } from './target.ts';

const VERSION = 131;
const EARLY_MAGIC = Buffer.from('ffffff5453', 'hex');
const EARLY_HEADER_BYTES = 9;
const machine = generateNodeKeyPair();
const control = generateNodeKeyPair();
const RESPONSE: Buffer = respond(initiate(VERSION, machine, control.publicKey).message, control).response;

/** The server's half of the handshake: the client accepts only its own response. */
const handshake: Target = {
  name: 'Noise handshake',
  samples: [
    RESPONSE.subarray(NOISE_HEADER_BYTES),
    ...LOW_ORDER_KEYS.map((key) => Buffer.from(key + '00'.repeat(16), 'hex')),
  ],
  feed(input, random) {
    const initiation = initiate(VERSION, machine, control.publicKey);
    const { response, keys } = respond(initiation.message, control);
    const body = response.subarray(NOISE_HEADER_BYTES);
    const changed = random.once(2) ? applyEdits(body, edits(random, body.length)) : input;
    try {
      const ours = initiation.finish(changed);
      check(changed.equals(body) && ours.hash.equals(keys.hash), 'a changed response is refused');
    } catch (error) {
      if (!(error instanceof NoiseError)) throw error;
    }
  },
};

/** A socket; the test is its other end. */
class Wire extends Duplex {
  override _read(): void {
    // The test pushes the received bytes.
  }

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

/** Records after the handshake, whole and changed, in pieces of any size. */
const records: Target = {
  name: 'Noise records',
  samples: [],
  async feed(input, random) {
    const { keys } = respond(initiate(VERSION, machine, control.publicKey).message, control);
    const cipher = new NoiseCipher(keys.serverToClient);
    const early = random.once(3) ? earlyPayload(input.subarray(0, random.below(20)), random.once(4)) : Buffer.alloc(0);
    const plain = Array.from({ length: 1 + random.below(4) }, () => random.bytes(random.pick([0, 1, 9, 200, 4077])));
    const stream = Buffer.concat([early, ...plain].map((part) => record(cipher.seal(part))));
    const sent = random.once(3) ? stream : applyEdits(stream, edits(random, stream.length));
    const wire = new Wire();
    const noise = new NoiseStream(wire, keys, Buffer.alloc(0));
    const got: Buffer[] = [];
    noise.on('data', (chunk: Buffer) => got.push(chunk)).on('error', () => {});
    const closed = new Promise((resolve) => noise.once('close', resolve));
    for (let at = 0; at < sent.length && !wire.destroyed;) {
      const length = 1 + random.below(random.pick([3, 50, 5000]));
      wire.push(sent.subarray(at, at + length));
      at += length;
      if (random.once(4)) await new Promise(setImmediate);
    }
    if (!wire.destroyed) wire.push(null);
    await closed;
    const whole = Buffer.concat(plain);
    const received = Buffer.concat(got);
    // An early payload with a too large length includes the bytes after it.
    check(whole.includes(received), 'what comes out is a part of what was sealed');
    const isPlain = sent === stream && early.length === 0 && whole.length >= EARLY_HEADER_BYTES;
    check(!isPlain || received.equals(whole), 'what was not changed comes out whole');
  },
};

/** The protocol of control servers, before and after the handshake. */
export const NOISE_TARGETS: readonly Target[] = [handshake, records];

function earlyPayload(body: Buffer, isWrong: boolean): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(isWrong ? 0x7fffffff : body.length);
  return Buffer.concat([EARLY_MAGIC, length, body]);
}

function record(sealed: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([NoiseMessage.Record, sealed.length >> 8, sealed.length & 0xff]), sealed]);
}
