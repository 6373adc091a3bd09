import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Transport } from '../../src/transport/port.ts';
import { makeCertificate, type TestCertificate } from './certificates.ts';
import { endPair, eventually, pair, PatternChecker, PatternSender, quiet } from './support.ts';

const MIB = 1_048_576;

/** Tests that bytes arrive unchanged, and that back-pressure works. */
export function bytesContract(transport: Transport): void {
  let certificate: TestCertificate;
  before(() => {
    certificate = makeCertificate(['relay.test']);
  });

  for (const kind of ['TLS', 'plain'] as const) {
    const connected = () => pair(transport, kind === 'TLS' ? certificate : null);

    describe(`bytes over ${kind}`, () => {
      for (const upward of [true, false]) {
        it(`32 MB ${upward ? 'to the server' : 'to the client'} arrive exactly at a slow reader`, async () => {
          const both = await connected();
          const total = 32 * MIB;
          const [source, sourceEnd] = upward ? [both.client, both.clientEnd] : [both.server, both.serverEnd];
          const sinkEnd = upward ? both.serverEnd : both.clientEnd;
          const checker = new PatternChecker();
          let nextRest = 2 * MIB;
          sinkEnd.onBytes = (stream, buffer, from, to) => {
            checker.check(buffer, from, to);
            if (checker.seen < nextRest) return;
            nextRest += 2 * MIB;
            stream.pause();
            setTimeout(() => stream.resume(), 4);
          };
          new PatternSender(source, sourceEnd, total).pump();
          await eventually(() => checker.seen === total, 'all bytes arrive');
          await endPair(both);
        });
      }

      for (const how of [undefined, 'soft'] as const) {
        it(`a reader that pauses ${how ?? 'exactly'} stops the sender, and nothing is lost`, async () => {
          const both = await connected();
          both.client.pause(how);
          const checker = new PatternChecker();
          both.clientEnd.onBytes = (_stream, buffer, from, to) => checker.check(buffer, from, to);
          const total = 48 * MIB;
          const sender = new PatternSender(both.server, both.serverEnd, total);
          sender.pump();
          let stalledAt = -1;
          while (stalledAt !== sender.sent) {
            stalledAt = sender.sent;
            await quiet(150);
          }
          assert.ok(sender.sent < total, `the sender stopped, after ${sender.sent}`);
          assert.equal(both.server.write(Buffer.alloc(1), 0, 1), 0);
          if (how === undefined) assert.equal(checker.seen, 0);
          both.client.resume();
          await eventually(() => checker.seen === total, 'all bytes arrive');
          await endPair(both);
        });
      }

      it('pause() inside bytes is exact', async () => {
        const both = await connected();
        const total = 3 * MIB;
        const checker = new PatternChecker();
        let paused = false;
        let pauses = 0;
        both.serverEnd.onBytes = (stream, buffer, from, to) => {
          assert.equal(paused, false, 'bytes while paused');
          checker.check(buffer, from, to);
          paused = true;
          pauses++;
          stream.pause();
          setImmediate(() => {
            paused = false;
            stream.resume();
          });
        };
        new PatternSender(both.client, both.clientEnd, total).pump();
        await eventually(() => checker.seen === total, 'all bytes arrive');
        assert.ok(pauses > 1);
        await endPair(both);
      });

      it('pause() and resume() in one callback change nothing', async () => {
        const both = await connected();
        const checker = new PatternChecker();
        both.serverEnd.onBytes = (stream, buffer, from, to) => {
          stream.pause();
          checker.check(buffer, from, to);
          stream.resume();
        };
        new PatternSender(both.client, both.clientEnd, MIB).pump();
        await eventually(() => checker.seen === MIB, 'all bytes arrive');
        await endPair(both);
      });

      it('a small write is taken whole, and the next one at once or when writable was called', async () => {
        const both = await connected();
        assert.equal(both.client.write(Buffer.from('hello, '), 0, 7), 7);
        let taken = 0;
        const again = (): void => {
          if (taken === 0) taken = both.client.write(Buffer.from('[world]'), 1, 6);
        };
        both.clientEnd.onWritable = again;
        again();
        await eventually(() => both.serverEnd.text() === 'hello, world', 'both writes arrive');
        assert.equal(taken, 5);
        assert.equal(both.client.write(Buffer.alloc(4), 2, 2), 0);
        await endPair(both);
      });

      it('a handler can be replaced inside a callback', async () => {
        const both = await connected();
        const later: string[] = [];
        both.serverEnd.onBytes = (stream) => {
          stream.handler = {
            bytes: (_stream, buffer, from, to) => later.push(buffer.toString('latin1', from, to)),
            writable: () => undefined,
            closed: (gone, reason) => both.serverEnd.closed(gone, reason),
          };
        };
        both.client.write(Buffer.from('one'), 0, 3);
        await eventually(() => both.serverEnd.total === 3, 'first bytes');
        await eventually(() => both.client.write(Buffer.from('two'), 0, 3) === 3, 'second write');
        await eventually(() => later.join('') === 'two', 'bytes at the second handler');
        await endPair(both);
      });
    });
  }
}
