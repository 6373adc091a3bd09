import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Clock } from '../../../src/base/clock.ts';
import { KeyLimits } from '../../../src/relay/fairness/key-limits.ts';
import type { SessionContext } from '../../../src/relay/session/context.ts';
import { FrameReader, type FirstFrameReceiver, type FrameReceiver } from '../../../src/relay/session/frame-reader.ts';
import { LoopTurn } from '../../../src/relay/session/loop-turn.ts';
import type { Stream } from '../../../src/transport/port.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameType } from '../../../src/wire/frames.ts';

const BUDGET_BYTES = 65_536;
const OWN = { tier: 'heavy', bytesPerSecond: 0, burstBytes: 0, connections: 4 };
const NO_LIMITS = new KeyLimits({ bytesPerSecond: 0, burstBytes: 0 }, null);
const TAKES_ALL: FrameReceiver = { begins: () => true, frame: () => undefined };
const NOBODY: FirstFrameReceiver = { clientInfo: () => undefined, refused: () => undefined };

/** Makes SendPacket frames with `bytes` in total. */
function packets(bytes: number): Buffer {
  const frames: Buffer[] = [];
  for (let left = bytes; left > 0; left -= frames.at(-1)!.length) {
    frames.push(encodeFrame(FrameType.SendPacket, Buffer.alloc(Math.min(left, 60_000) - FRAME_HEADER_BYTES)));
  }
  return Buffer.concat(frames);
}

/** A connection whose socket always has bytes: `readBytes` in each read. */
class Source {
  readonly reader: FrameReader;
  readonly #chunk: Buffer;
  paused = false;
  takenBytes = 0;

  constructor(turn: LoopTurn, readBytes: number, weight = 1) {
    const context = {
      clock: new Clock(),
      turn,
      limits: { readBudgetBytes: BUDGET_BYTES },
      wakes: { remove: () => undefined },
      keyLimits: NO_LIMITS,
    };
    const stream = {
      remote: { ip: '192.0.2.1', port: 1 },
      pause: () => (this.paused = true),
      resume: () => (this.paused = false),
    };
    this.reader = new FrameReader(stream as unknown as Stream, context as unknown as SessionContext, NOBODY);
    this.reader.admitted(Buffer.alloc(32), { ...OWN, weight }, false, TAKES_ALL);
    this.#chunk = packets(readBytes);
  }

  /** Reads as in one turn of the event loop: up to `reads` times, while it is not paused. */
  read(reads: number): void {
    for (let i = 0; i < reads && !this.paused; i++) {
      this.takenBytes += this.#chunk.length;
      this.reader.bytes(this.#chunk, 0, this.#chunk.length);
    }
  }
}

async function turns(count: number, sources: readonly Source[], reads: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    for (const source of sources) source.read(reads);
    await nextTurn();
  }
}

suite('what a connection may send in one turn of the event loop', () => {
  test('greedy ones get equal bytes, however much one read of them brings', async () => {
    const turn = new LoopTurn();
    const sources = [new Source(turn, 250_000), new Source(turn, 65_536), new Source(turn, 1000)];
    await turns(200, sources, 100);
    const taken = sources.map((source) => source.takenBytes);
    assert.ok(Math.max(...taken) - Math.min(...taken) <= 2 * 250_000, taken.join(' '));
  });

  test('one with a weight gets so many times as much', async () => {
    const turn = new LoopTurn();
    const [one, three] = [new Source(turn, 10_000), new Source(turn, 10_000, 3)];
    await turns(200, [one, three], 100);
    const ratio = three.takenBytes / one.takenBytes;
    assert.ok(ratio > 2.8 && ratio < 3.2, `${ratio}`);
  });

  test('however many are greedy, and however much a read of them brings, a turn has an end, and each has its turn', async () => {
    for (const readBytes of [65_536, 500_000]) {
      const turn = new LoopTurn();
      const sources = Array.from({ length: 100 }, () => new Source(turn, readBytes));
      await turns(1, sources, 1);
      let mostInOneTurn = 0;
      const total = (): number => sources.reduce((sum, source) => sum + source.takenBytes, 0);
      for (let i = 0; i < 1000; i++) {
        const before = total();
        await turns(1, sources, 1);
        mostInOneTurn = Math.max(mostInOneTurn, total() - before);
      }
      assert.ok(mostInOneTurn <= 2 * 1024 * 1024 + readBytes, `${mostInOneTurn}`);
      const taken = sources.map((source) => source.takenBytes);
      assert.ok(
        Math.max(...taken) - Math.min(...taken) <= 2 * readBytes,
        `${Math.min(...taken)} to ${Math.max(...taken)}`,
      );
      assert.ok(Math.min(...taken) > 5 * readBytes, `${Math.min(...taken)}`);
    }
  });

  test('one that stays below its budget is never paused', async () => {
    const turn = new LoopTurn();
    const thin = new Source(turn, 1200);
    const greedy = Array.from({ length: 50 }, () => new Source(turn, 65_536));
    for (let i = 0; i < 50; i++) {
      thin.read(2);
      assert.equal(thin.paused, false);
      await turns(1, greedy, 10);
    }
    assert.equal(thin.takenBytes, 50 * 2 * 1200);
  });
});
