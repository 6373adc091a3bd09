import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { FairShare, type LimitedSender } from '../../../src/relay/fairness/fair-share.ts';
import { KeyLimits, type KeyAccount } from '../../../src/relay/fairness/key-limits.ts';
import { WakeList } from '../../../src/base/wake-list.ts';

const RATE = { bytesPerSecond: 100_000, burstBytes: 65_568 };
const IP = '192.0.2.1';
const NOBODY: LimitedSender = { sendMore: () => undefined };

function key(n: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32BE(n, 0);
  return bytes;
}

suite('limits by key', () => {
  test('without a rate and a total there is nothing to account for', () => {
    assert.equal(new KeyLimits({ bytesPerSecond: 0, burstBytes: 0 }, null).join(key(1), IP, 1, 0), null);
  });

  test('threads that tell each other what a key has used let no more of it pass together than one does', () => {
    const step = fc.record({
      thread: fc.nat(1),
      connection: fc.nat(2),
      leaves: fc.boolean(),
      bytes: fc.integer({ min: 5, max: 65_568 }),
      ms: fc.integer({ min: 0, max: 400 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let now = 0;
        const threads = [0, 1].map(() => ({ limits: new KeyLimits(RATE, null), open: new Map<number, KeyAccount>() }));
        for (const [i, { limits }] of threads.entries()) {
          limits.listener = (name, use) => threads[1 - i]!.limits.usedElsewhere(name, use, now);
        }
        let passed = 0;
        for (const { thread, connection, leaves, bytes, ms } of steps) {
          now += ms;
          const { limits, open } = threads[thread]!;
          let account = open.get(connection);
          if (account === undefined) open.set(connection, (account = limits.join(key(1), null, 1, now)!));
          if (account.takeRate(bytes, now) === 0) passed += bytes;
          limits.tellUse(account.name, now);
          if (leaves) {
            limits.leave(account, NOBODY, now);
            open.delete(connection);
          }
          assert.ok(passed <= 65_568 + (now * RATE.bytesPerSecond) / 1000 + 1e-6);
        }
      }),
    );
  });

  test('whatever connections of a key come, send and go, no more passes than rate × time + burst', () => {
    const step = fc.record({
      connection: fc.nat(5),
      leaves: fc.boolean(),
      bytes: fc.integer({ min: 5, max: 65_573 }),
      ms: fc.integer({ min: 0, max: 400 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const limits = new KeyLimits(RATE, null);
        const open = new Map<number, KeyAccount>();
        let now = 0;
        let passed = 0;
        for (const { connection, leaves, bytes, ms } of steps) {
          now += ms;
          let account = open.get(connection);
          if (account === undefined) open.set(connection, (account = limits.join(key(1), IP, 1, now)!));
          if (account.takeRate(bytes, now) === 0) passed += Math.min(bytes, 65_568);
          if (leaves) {
            limits.leave(account, NOBODY, now);
            open.delete(connection);
          }
          assert.ok(passed <= 65_568 + (now * RATE.bytesPerSecond) / 1000 + 1e-6);
        }
      }),
    );
  });

  test('another key is not touched, and who has paid back is forgotten', () => {
    const limits = new KeyLimits(RATE, null);
    const one = limits.join(key(1), null, 1, 0)!;
    assert.equal(one.takeRate(65_568, 0), 0);
    assert.ok(one.takeRate(1000, 0) > 0);
    assert.equal(limits.join(key(2), null, 1, 0)!.takeRate(65_568, 0), 0);
    limits.leave(one, NOBODY, 0);
    assert.equal(limits.leftKeys, 1);
    assert.equal(limits.join(key(1), null, 1, 300), one);
    assert.equal(limits.leftKeys, 0);
    limits.leave(one, NOBODY, 300);
    const later = limits.join(key(3), null, 1, 10_000)!;
    later.takeRate(10, 10_000);
    limits.leave(later, NOBODY, 10_000);
    assert.equal(limits.leftKeys, 1, 'the first one has a full bucket again');
  });

  for (const [what, ipOf] of [
    ['address', () => IP],
    ['IPv6 network', (i: number) => `2001:db8::${(i % 65_536).toString(16)}`],
  ] as const) {
    test(`new keys of one ${what} have one burst, and little more`, () => {
      const limits = new KeyLimits(RATE, null);
      let passed = 0;
      for (let i = 0; i < 10_000; i++) {
        const account = limits.join(key(i), ipOf(i), 1, i)!;
        while (account.takeRate(1237, i) === 0) passed += 1237;
        limits.leave(account, NOBODY, i);
      }
      assert.ok(passed >= 65_568 - 1237 && passed <= 65_568 + 10 * RATE.bytesPerSecond * 0.02, `${passed}`);
      // A key that stays keeps its rate.
      const account = limits.join(key(20_000), ipOf(1), 1, 10_000)!;
      let stayed = 0;
      for (let now = 10_000; now < 20_000; now++) while (account.takeRate(1237, now) === 0) stayed += 1237;
      assert.ok(stayed > 9.9 * RATE.bytesPerSecond && stayed < 10.3 * RATE.bytesPerSecond, `${stayed}`);
    });
  }

  test('a new key of another address has a burst at once', () => {
    const limits = new KeyLimits(RATE, null);
    for (let i = 0; i < 3; i++) {
      const account = limits.join(key(i), `192.0.2.${i}`, 1, 0)!;
      assert.equal(account.takeRate(65_568, 0), 0);
      assert.ok(account.takeRate(5, 0) > 0);
    }
  });

  test('what is remembered is bounded', () => {
    const limits = new KeyLimits({ bytesPerSecond: 1, burstBytes: 65_568 }, null);
    for (let i = 0; i < 20_000; i++) {
      const account = limits.join(key(i), null, 1, 0)!;
      account.takeRate(1000, 0);
      limits.leave(account, NOBODY, 0);
    }
    assert.equal(limits.leftKeys, 16_384);
  });

  test('a key with many connections has one share of the total, and they take turns in it', () => {
    const wakes = new WakeList();
    const share = new FairShare(wakes, 1_000_000, 0);
    const limits = new KeyLimits({ bytesPerSecond: 0, burstBytes: 0 }, share);
    let now = 0;
    class Sender implements LimitedSender {
      sentBytes = 0;
      readonly account: KeyAccount;

      constructor(n: number) {
        this.account = limits.join(key(n), null, 1, 0)!;
      }

      sendMore(): void {
        while (this.account.takeShare(this, 1000, now)) this.sentBytes += 1000;
      }
    }
    const many = Array.from({ length: 8 }, () => new Sender(1));
    const single = new Sender(2);
    for (const sender of [...many, single]) sender.sendMore();
    const before = [...many, single].map(({ sentBytes }) => sentBytes);
    for (now = 1; now <= 4000; now++) share.wake(now);
    const sent = [...many, single].map(({ sentBytes }, i) => sentBytes - before[i]!);
    const ofMany = sent.slice(0, 8).reduce((sum, bytes) => sum + bytes, 0);
    const ratio = ofMany / sent[8]!;
    assert.ok(ratio > 0.95 && ratio < 1.05, sent.join(' '));
    assert.ok(Math.min(...sent.slice(0, 8)) > 0.9 * Math.max(...sent.slice(0, 8)), sent.join(' '));
    for (const sender of [...many, single]) limits.leave(sender.account, sender, now);
    assert.equal(limits.leftKeys, 0);
  });
});
