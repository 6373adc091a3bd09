/** Tests that the limits of the relay apply to all of its threads together. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { PATIENCE_MS, TwoThreads } from './support.ts';

const TOTAL = 1_000_000;
const PACKET = Buffer.alloc(4096, 3);
const WINDOW_MS = 1000;

/** Sends until the relay stops reading. */
function sendAlways(from: DerpClient, to: DerpClient): void {
  // As a frame: a client keeps to the rate that the relay announces.
  const frame = encodeFrame(FrameType.SendPacket, to.publicKey, PACKET);
  const drained = (): void => {
    while (from.sendFrame(frame));
  };
  from.handler = { drained };
  drained();
}

/** Counts the bytes that `to` gets from each source, by key in hex. */
function count(to: DerpClient): Map<string, number> {
  const bytes = new Map<string, number>();
  to.handler = {
    packet: (source, _buffer, from, end) => {
      const key = source.toString('hex');
      bytes.set(key, (bytes.get(key) ?? 0) + end - from);
    },
  };
  return bytes;
}

suite('limits of a relay of two threads', { timeout: 120_000 }, () => {
  test('the total is for all threads: alone a sender has all of it, and two share it, whatever threads they are in', async (t) => {
    const two = await TwoThreads.start({ TOWPATH_FAIRNESS_TOTAL_BYTES_PER_SECOND: `${TOTAL}` });
    t.after(() => two.stop());
    const [receiver, ...senders] = [await two.client(0), await two.client(1), await two.client(1), await two.client(0)];
    const [first, second, third] = senders;
    const bytes = count(receiver);
    const sum = (): number => [...bytes.values()].reduce((all, one) => all + one, 0);
    /** Resolves when `isRight` holds for the bytes of one second; a busy machine may need several seconds. */
    const inOneSecond = async (
      isRight: (came: number[], perSecond: number) => boolean,
      what: string,
    ): Promise<void> => {
      const endAt = performance.now() + PATIENCE_MS;
      while (performance.now() < endAt) {
        const [before, startedAt, names] = [new Map(bytes), performance.now(), [first, second, third]];
        const allBefore = sum();
        await sleep(WINDOW_MS);
        const seconds = (performance.now() - startedAt) / 1000;
        const came = names.map(({ publicKey }) => {
          const key = publicKey.toString('hex');
          return ((bytes.get(key) ?? 0) - (before.get(key) ?? 0)) / seconds;
        });
        if (isRight(came, (sum() - allBefore) / seconds)) return;
      }
      assert.fail(what);
    };
    sendAlways(first, receiver);
    await inOneSecond(([one]) => one! > 0.85 * TOTAL && one! < 1.15 * TOTAL, 'one sender never has all of the total');
    sendAlways(second, receiver);
    sendAlways(third, receiver);
    await inOneSecond(
      (came, perSecond) => perSecond < 1.15 * TOTAL && came.every((one) => one > 0.25 * TOTAL && one < 0.42 * TOTAL),
      'three senders in two threads never have equal shares',
    );
  });

  test('a key has its rate once, whichever threads its connections are in', async (t) => {
    const rate = 400_000;
    const two = await TwoThreads.start({
      TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: `${rate}`,
      TOWPATH_FAIRNESS_PER_CLIENT_BURST_BYTES: '100000',
    });
    t.after(() => two.stop());
    const keys = generateNodeKeyPair();
    const receiver = await two.client(0);
    const bytes = count(receiver);
    for (const thread of [0, 1, 1]) sendAlways(await two.client(thread, { keys }), receiver);
    const sum = (): number => bytes.get(keys.publicKey.toString('hex')) ?? 0;
    await two.until(() => sum() > 2 * rate, 'the bursts are over');
    const endAt = performance.now() + PATIENCE_MS;
    for (;;) {
      const [before, startedAt] = [sum(), performance.now()];
      await sleep(2 * WINDOW_MS);
      const perSecond = ((sum() - before) * 1000) / (performance.now() - startedAt);
      // Two threads that did not share the limit would each allow the whole rate.
      if (perSecond > 0.6 * rate && perSecond < 1.3 * rate) return;
      assert.ok(performance.now() < endAt, `${perSecond} bytes per second`);
    }
  });

  test('failures of one source count together, whichever threads they come to', async (t) => {
    const two = await TwoThreads.start({
      TOWPATH_SOURCES_EXEMPT: 'none',
      TOWPATH_PROXY_TRUSTED: '192.0.2.0/24',
      TOWPATH_SOURCES_CONNECTIONS_PER10_SECONDS: '0',
      TOWPATH_SOURCES_FAILURES_PER_MINUTE: '20',
    });
    t.after(() => two.stop());
    const { test: relayTest } = two;
    const { relay } = relayTest;
    const refused = (): number => relay.counters.refusals.source_limit;
    let attempts = 0;
    for (; attempts < 200 && refused() === 0; attempts++) {
      const socket = connect(relayTest.port, '127.0.0.1').on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.resume().end('no TLS at all');
      await closed;
      // The other thread and the main thread get this a tick of the clock later, or more on a busy machine.
      if (attempts >= 20) await relayTest.until(() => true, 'a tick');
    }
    // Threads that did not share the limit would have accepted about 40.
    assert.ok(attempts >= 20 && attempts <= 34, `${attempts} failures`);
    const { tcpAccepts } = relay.ownCounters;
    assert.ok(tcpAccepts >= 3 && tcpAccepts <= attempts - 3, `${tcpAccepts} of ${attempts} came to the main thread`);
  });
});
