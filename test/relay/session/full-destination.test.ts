import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { KeyLimits } from '../../../src/relay/fairness/key-limits.ts';
import { RecordingRecipient } from '../routing/support.ts';
import { sendPacket, SessionWorld } from './support.ts';

const KEY = Buffer.alloc(32, 0x77);

function packet(number: number, bytes = 1000): Buffer {
  return Buffer.from(`${number} `.padEnd(bytes, '.'));
}

function numbers(recipient: RecordingRecipient): number[] {
  return recipient.delivered.map(([, , text]) => Number.parseInt(text, 10));
}

suite('a destination that is full', () => {
  test('pauses the sender once a budget waits, loses nothing, and is given everything in order afterwards', async () => {
    const world = new SessionWorld();
    const recipient = new RecordingRecipient();
    world.context.router.register(KEY, recipient);
    const { stream, key } = world.open();
    stream.feed(sendPacket(KEY, packet(0)));
    recipient.isFull = true;
    let fed = 1;
    // The client sends as long as the relay reads: at most one read budget more than the budget that is held.
    for (let turn = 0; turn < 20; turn++) {
      for (; !stream.isPaused && fed < 1000; fed++) stream.feed(sendPacket(KEY, packet(fed)));
      await nextTurn();
    }
    assert.ok(stream.isPaused);
    assert.ok(fed > 60 && fed < 140, `paused after ${fed} packets of 1000 bytes`);
    assert.equal(recipient.delivered.length, 1);
    assert.equal(recipient.waiting.length, 1, 'it waits once, whatever else arrives');
    assert.deepEqual([world.counters.packetsReceived, world.counters.fullDestinationWaits], [1, 1]);
    recipient.takeAgain();
    await nextTurn();
    await nextTurn();
    assert.equal(stream.isPaused, false);
    assert.deepEqual(
      numbers(recipient),
      Array.from({ length: fed }, (_, i) => i),
    );
    assert.deepEqual(recipient.delivered[0]!.slice(0, 2), [key.toString('hex'), KEY.toString('hex')]);
    assert.deepEqual([world.counters.packetsReceived, world.counters.bytesReceived], [fed, fed * 1000]);
  });

  test('a packet that was cut and then not taken is whole when it is taken', () => {
    const world = new SessionWorld();
    const recipient = new RecordingRecipient();
    world.context.router.register(KEY, recipient);
    const { stream } = world.open();
    recipient.isFull = true;
    const bytes = Buffer.concat([1, 2, 3].map((number) => sendPacket(KEY, packet(number, 20_000))));
    for (let at = 0; at < bytes.length; at += 7001) stream.feed(bytes.subarray(at, at + 7001));
    recipient.takeAgain();
    assert.deepEqual(numbers(recipient), [1, 2, 3]);
    assert.ok(recipient.delivered.every(([, , text]) => text.length === 20_000));
  });

  test('the frame that waits is charged to the rate of its key once', () => {
    const keyLimits = new KeyLimits({ bytesPerSecond: 1, burstBytes: 150_000 }, null);
    const world = new SessionWorld({ keyLimits });
    const recipient = new RecordingRecipient();
    world.context.router.register(KEY, recipient);
    const { stream } = world.open();
    recipient.isFull = true;
    stream.feed(sendPacket(KEY, packet(1, 60_000)));
    for (let i = 0; i < 10; i++) for (const sender of recipient.waiting.splice(0)) sender.sendMore();
    recipient.takeAgain();
    assert.deepEqual(numbers(recipient), [1]);
    stream.feed(sendPacket(KEY, packet(2, 60_000)));
    assert.deepEqual(numbers(recipient), [1, 2]);
    assert.equal(world.counters.rateLimitWaits, 0);
  });

  test('a sender that ends while it waits leaves nothing behind that could wake', () => {
    const world = new SessionWorld();
    const recipient = new RecordingRecipient();
    world.context.router.register(KEY, recipient);
    const { stream } = world.open();
    recipient.isFull = true;
    stream.feed(sendPacket(KEY, packet(1)));
    stream.close();
    recipient.takeAgain();
    assert.deepEqual(recipient.delivered, []);
    assert.equal(world.sessions.count, 0);
  });

  test('whenever it is full, each packet arrives once and in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.constant('full'), fc.constant('takes')), {
          maxLength: 60,
        }),
        (steps) => {
          const world = new SessionWorld();
          const recipient = new RecordingRecipient();
          world.context.router.register(KEY, recipient);
          const { stream } = world.open();
          const bytes = Buffer.concat(Array.from({ length: 40 }, (_, i) => sendPacket(KEY, packet(i, 50 * (i + 1)))));
          let at = 0;
          for (const step of steps) {
            if (step === 'full') recipient.isFull = true;
            else if (step === 'takes') recipient.takeAgain();
            else stream.feed(bytes.subarray(at, (at = Math.min(bytes.length, at + step))));
          }
          stream.feed(bytes.subarray(at));
          recipient.takeAgain();
          assert.deepEqual(
            numbers(recipient),
            Array.from({ length: 40 }, (_, i) => i),
          );
        },
      ),
      { numRuns: 50 },
    );
  });
});
