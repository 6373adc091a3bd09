import assert from 'node:assert/strict';
import { collectGarbage, descriptors, eventually } from './support.ts';

const MIB = 1_048_576;
/** Noise of the allocator, in MiB. 300 leaked TLS connections are 15 MiB. */
const RSS_SLACK_MIB = 8;
/** Most rounds. A leak grows with every round, but noise does not: one round without growth is enough. */
const MAX_ROUNDS = 5;

/** Runs `round` until descriptors and memory are the same as before it; fails when they never are. */
export async function leavesNothing(round: () => Promise<void>): Promise<void> {
  await round();
  const fds = descriptors();
  const grown: number[] = [];
  do {
    collectGarbage();
    const before = process.memoryUsage().rss;
    await round();
    await eventually(() => descriptors() <= fds, `descriptors back at ${fds}, now ${descriptors()}`);
    collectGarbage();
    grown.push((process.memoryUsage().rss - before) / MIB);
  } while (grown.at(-1)! > RSS_SLACK_MIB && grown.length < MAX_ROUNDS);
  assert.ok(grown.at(-1)! <= RSS_SLACK_MIB, `RSS grew by ${grown.map((mib) => mib.toFixed(1)).join(', ')} MiB`);
}
