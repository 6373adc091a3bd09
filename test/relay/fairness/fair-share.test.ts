import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  FairShare,
  QUANTUM_BYTES,
  type LimitedSender,
  type ShareAccount,
} from '../../../src/relay/fairness/fair-share.ts';
import { WakeList } from '../../../src/base/wake-list.ts';

/** A sender with its own queue of frames; the allowed bytes are added up. */
class Sender implements LimitedSender {
  readonly account: ShareAccount;
  readonly queue: number[] = [];
  /** Sent bytes, and the time of each sent frame. */
  sent = 0;
  readonly sentAt: number[] = [];
  now = 0;

  constructor(share: FairShare, weight = 1) {
    this.account = share.join(this, weight);
  }

  /** Offers frames as a read does. */
  offer(now: number, ...frames: number[]): void {
    this.now = now;
    this.queue.push(...frames);
    this.sendMore();
  }

  sendMore(): void {
    while (this.queue.length > 0 && this.account.take(this.queue[0]!, this.now)) {
      this.sent += this.queue.shift()!;
      this.sentAt.push(this.now);
    }
  }
}

/** A clock that only this test advances: the wake list never fires, and the test calls `wake` for each millisecond. */
function run(
  share: FairShare,
  senders: readonly Sender[],
  fromMs: number,
  toMs: number,
  each: (now: number) => void,
): void {
  for (let now = fromMs; now < toMs; now++) {
    each(now);
    for (const sender of senders) sender.now = now;
    share.wake(now);
  }
}

function newShare(bytesPerSecond: number): FairShare {
  const wakes = new WakeList();
  // The test calls `wake`.
  wakes.add = () => undefined;
  return new FairShare(wakes, bytesPerSecond, 0);
}

const FRAME = 1237;

/** Keeps a sender's queue as full as a socket with a deep buffer would. */
function fill(sender: Sender, now: number, frame = FRAME): void {
  while (sender.queue.length < 60) sender.offer(now, frame);
}

suite('fair share of a total', () => {
  test('nobody waits while the total is not used up', () => {
    const share = newShare(1_000_000);
    const sender = new Sender(share);
    for (let now = 0; now < 1000; now += 2) sender.offer(now, 1900);
    assert.equal(sender.queue.length, 0);
  });

  test('the total is kept, and used up', () => {
    const share = newShare(5_000_000);
    const senders = [new Sender(share), new Sender(share), new Sender(share)];
    run(share, senders, 1, 2001, (now) => senders.forEach((sender) => fill(sender, now)));
    const sent = senders.reduce((sum, sender) => sum + sender.sent, 0);
    assert.ok(sent <= 10_000_000 + 250_000 + 65_573, `${sent}`);
    assert.ok(sent >= 9_950_000, `${sent}`);
  });

  test('greedy senders get equal bytes, whatever the size of their frames', () => {
    const share = newShare(5_000_000);
    const small = new Sender(share);
    const large = new Sender(share);
    run(share, [small, large], 1, 4001, (now) => {
      for (let i = 0; i < 20; i++) fill(small, now, 101);
      fill(large, now, 65_573);
    });
    assert.ok(Math.abs(large.sent - small.sent) < 0.1 * large.sent, `${small.sent} and ${large.sent}`);
  });

  test('weights divide the total in their proportion', () => {
    const share = newShare(8_000_000);
    const one = new Sender(share, 1);
    const three = new Sender(share, 3);
    run(share, [one, three], 1, 4001, (now) => {
      fill(one, now);
      fill(three, now);
    });
    const ratio = three.sent / one.sent;
    assert.ok(ratio > 2.8 && ratio < 3.2, `${ratio}`);
  });

  test('a polite sender gets all it wants beside greedy ones, and waits less than a round', () => {
    const share = newShare(25_000_000);
    const greedy = Array.from({ length: 5 }, () => new Sender(share));
    const polite = new Sender(share);
    const offeredAt: number[] = [];
    run(share, [...greedy, polite], 1, 3001, (now) => {
      greedy.forEach((sender) => fill(sender, now));
      if (now % 10 === 0) {
        offeredAt.push(now);
        polite.offer(now, FRAME);
      }
    });
    assert.equal(polite.sent, offeredAt.length * FRAME);
    const waits = polite.sentAt.map((at, i) => at - offeredAt[i]!);
    assert.ok(Math.max(...waits) <= 1, `waited ${Math.max(...waits)} ms`);
  });

  test('a sender that pauses often is not always taken for a fresh one', () => {
    const share = newShare(5_000_000);
    const steady = new Sender(share);
    const pausing = new Sender(share);
    run(share, [steady, pausing], 1, 4001, (now) => {
      fill(steady, now);
      // Offers a little less than one turn allows, as often as possible.
      if (pausing.queue.length === 0) for (let i = 0; i < 12; i++) pausing.offer(now, FRAME);
    });
    assert.ok(pausing.sent <= steady.sent * 1.25, `${pausing.sent} and ${steady.sent}`);
  });

  test('the share of one that left goes to the others', () => {
    const share = newShare(4_000_000);
    const stays = new Sender(share);
    const leaves = new Sender(share);
    run(share, [stays, leaves], 1, 1001, (now) => [stays, leaves].forEach((sender) => fill(sender, now)));
    leaves.account.leave();
    const before = stays.sent;
    run(share, [stays], 1001, 2001, (now) => fill(stays, now));
    assert.ok(stays.sent - before >= 3_900_000, `${stays.sent - before}`);
  });

  test('whatever they offer, backlogged senders of one weight are never further apart than a turn and a frame', () => {
    const sizes = fc.array(fc.integer({ min: 37, max: 65_573 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 100_000, max: 50_000_000 }), (frames, rate) => {
        const share = newShare(rate);
        // The first burst is for the first sender; another sender uses it here.
        new Sender(share).offer(0, 10_000_000);
        const senders = frames.map(() => new Sender(share));
        const refill = (now: number): void =>
          senders.forEach((sender, i) => {
            while (sender.queue.length * frames[i]! < 100_000) sender.offer(now, frames[i]!);
          });
        run(share, senders, 1, 200, refill);
        const sent = senders.map((sender) => sender.sent);
        const largest = Math.max(...frames);
        assert.ok(Math.max(...sent) - Math.min(...sent) <= 2 * (QUANTUM_BYTES + largest), sent.join(' '));
      }),
      { numRuns: 20 },
    );
  });
});
