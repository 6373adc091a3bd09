import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { generateNodeKeyPair } from '../../src/wire/keys.ts';
import { DropReason } from '../../src/observe/counters.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { nextPacket, TestRelay, within } from './support.ts';

const DISCO = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(56)]);

for (const websocket of [false, true]) {
  suite(`relaying over ${websocket ? 'WebSocket' : 'TLS'}`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await TestRelay.start();
    });
    after(() => relay.stop());

    test('§9.17 a packet arrives with its source and unchanged, and nowhere else', async () => {
      const [a, b, c] = await Promise.all([
        relay.client({ websocket }),
        relay.client({ websocket }),
        relay.client({ websocket }),
      ]);
      c.handler = { packet: () => assert.fail('the third client got a packet') };
      const arrived = nextPacket(b);
      assert.ok(a.send(b.publicKey, Buffer.from('hello')));
      assert.deepEqual(await arrived, { source: a.publicKey, packet: Buffer.from('hello') });
      await c.ping();
    });

    test('§9.19 a packet of exactly 65536 bytes is relayed', async () => {
      const [a, b] = await Promise.all([relay.client({ websocket }), relay.client({ websocket })]);
      const large = Buffer.alloc(65_536, 7);
      const arrived = nextPacket(b);
      a.send(b.publicKey, large);
      assert.ok((await arrived).packet.equals(large));
    });

    test('§9.20 many packets with few in flight arrive complete and in order', async () => {
      const [a, b] = await Promise.all([relay.client({ websocket }), relay.client({ websocket })]);
      const total = 300;
      let expected = 0;
      await within(
        new Promise<void>((resolve) => {
          let sent = 0;
          const send = (): void => {
            const packet = Buffer.alloc(65_536, sent & 0xff);
            packet.writeUInt32BE(sent++, 0);
            a.send(b.publicKey, packet);
          };
          b.handler = {
            packet: (_source, buffer, from, to) => {
              assert.equal(buffer.readUInt32BE(from), expected);
              assert.equal(buffer[to - 1], expected & 0xff);
              expected++;
              if (expected === total) resolve();
              else if (sent < total) send();
            },
          };
          for (let i = 0; i < 3; i++) send();
        }),
        'all packets',
        20_000,
      );
      assert.equal(expected, total);
    });

    test('§9.28 six disco packets to an unknown key bring three PeerGone, plain ones none', async () => {
      const a = await relay.client({ websocket });
      const nobody = generateNodeKeyPair().publicKey;
      const gone: number[] = [];
      a.handler = { peerGone: (_key, reason) => gone.push(reason) };
      a.send(nobody, Buffer.alloc(100));
      for (let i = 0; i < 6; i++) a.send(nobody, DISCO);
      await a.ping();
      assert.deepEqual(gone, [1, 1, 1]);
    });

    test('§9.29 a receiver hears once that a sender left; who received nothing does not', async () => {
      const [a, b, c] = await Promise.all([
        relay.client({ websocket }),
        relay.client({ websocket }),
        relay.client({ websocket }),
      ]);
      c.handler = { peerGone: () => assert.fail('c never received from a') };
      const arrived = nextPacket(b);
      a.send(b.publicKey, Buffer.from('x'));
      await arrived;
      const gone = new Promise<Buffer>((resolve) => {
        b.handler = { peerGone: (key, reason) => reason === 0 && resolve(Buffer.from(key)) };
      });
      a.close();
      assert.deepEqual(await within(gone, 'PeerGone'), a.publicKey);
      await c.ping();
    });

    test('§9.37 of two connections with one key the one that spoke last gets the packets, and both are told', async () => {
      const keys = generateNodeKeyPair();
      const told: string[] = [];
      const [one, sender] = await Promise.all([relay.client({ keys, websocket }), relay.client({ websocket })]);
      one.handler = { health: (problem) => told.push(problem) };
      const two = await relay.client({ keys, websocket, handler: { health: (problem) => told.push(problem) } });
      await Promise.all([one.ping(), two.ping()]);
      assert.equal(told.length, 2);
      assert.deepEqual([relay.relay.counters.duplicateKeys, relay.relay.counters.duplicateConnections], [1, 2]);
      for (const speaker of [one, two, one]) {
        await speaker.ping();
        const arrived = nextPacket(speaker);
        sender.send(keys.publicKey, Buffer.from('for the last speaker'));
        await arrived;
      }
      two.close();
      await relay.until(() => relay.relay.counters.duplicateKeys === 0, 'the second connection is gone');
      await one.ping();
      assert.equal(told.at(-1), '', 'the remaining one is told that all is well');
    });

    test('§9.30 NotePreferred moves the home gauge once, and back when the client leaves', async () => {
      const { counters } = relay.relay;
      const a = await relay.client({ websocket });
      for (const home of [true, true, false, true]) a.notePreferred(home);
      await a.ping();
      assert.equal(counters.homeConnections, 1);
      a.close();
      await relay.until(() => counters.homeConnections === 0, 'the gauge falls');
    });
  });
}

suite('a receiver that stops reading', () => {
  test('§9.21 §9.23 delays nobody else, and is ended at the write deadline', async () => {
    const relay = await TestRelay.start({ TOWPATH_LIMITS_WRITE_DEADLINE_MS: '500' });
    try {
      const { counters } = relay.relay;
      const [sender, stalled, healthy] = await Promise.all([relay.client(), relay.client(), relay.client()]);
      stalled.pause();
      let received = 0;
      healthy.handler = { packet: () => received++ };
      const packet = Buffer.alloc(60_000);
      const ended = flood(sender, stalled, packet, () => counters.writeTimeouts > 0);
      for (let i = 1; i <= 20; i++) {
        const arrived = nextPacket(healthy);
        while (!sender.send(healthy.publicKey, Buffer.from([i]))) await setImmediate();
        assert.equal((await arrived).packet[0], i);
      }
      await within(ended, 'the write deadline');
      assert.equal(counters.refusals.write_timeout, 1);
      const dropped = (reason: DropReason): number => counters.dropPackets[reason]![0]!;
      assert.ok(dropped(DropReason.QueueHead) > 0, 'the oldest were dropped');
      await relay.until(() => dropped(DropReason.GoneDisconnected) > 0, 'what waited at the end is counted');
      assert.equal(received, 0);
    } finally {
      await relay.stop();
    }
  });
});

// Each test mostly waits, so both run at the same time.
suite('a receiver that reads slowly', { concurrency: 2 }, () => {
  // Each read has about 64 KiB on Node and 512 KiB on Bun; the receiver takes one packet of it and pauses.
  const skip = process.platform !== 'linux';
  for (const websocket of [false, true]) {
    test(
      `is kept over ${websocket ? 'WebSocket' : 'TLS'} as long as it takes bytes, and ended when it takes none`,
      { skip },
      async () => {
        const relay = await TestRelay.start({ TOWPATH_LIMITS_WRITE_DEADLINE_MS: '4000' });
        try {
          const { counters } = relay.relay;
          const [sender, slow] = await Promise.all([relay.client(), relay.client({ websocket })]);
          let reads = 0;
          slow.pause();
          slow.handler = {
            packet: () => {
              reads++;
              slow.pause();
            },
          };
          const reading = setInterval(() => slow.resume(), 150);
          const startedAt = performance.now();
          // Longer than the deadline, which leaves time for two checks, between which the receiver's window opens (a
          // sixteenth of its buffer is free by then), and less than what the kernel would have to send before it wakes the relay.
          const enough = (): boolean => counters.writeTimeouts > 0 || performance.now() - startedAt > 6000;
          await within(flood(sender, slow, Buffer.alloc(60_000), enough), 'the slow receiver');
          clearInterval(reading);
          assert.equal(counters.writeTimeouts, 0, `cut off after ${reads} reads`);
          assert.ok(reads > 0);
          slow.pause();
          await within(
            flood(sender, slow, Buffer.alloc(60_000), () => counters.writeTimeouts > 0),
            'the end',
          );
          assert.equal(counters.refusals.write_timeout, 1);
        } finally {
          await relay.stop();
        }
      },
    );
  }
});

/** Sends to `target` faster than it reads, until `enough`; without a pause it would need all of the processor. */
async function flood(sender: DerpClient, target: DerpClient, packet: Buffer, enough: () => boolean): Promise<void> {
  while (!enough()) {
    sender.send(target.publicKey, packet);
    await setTimeout(1);
  }
}
