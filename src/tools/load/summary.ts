import { printable } from '../../base/printable.ts';
import type { Verdict } from './fail-if.ts';
import { formatBits, formatBytes, formatCount, formatMs, formatShare } from './format.ts';
import type { ClassResult, Latencies, LoadResult } from './result.ts';
import { workersText } from './settings.ts';

/** When less than this part of the CPUs is idle, some process always waits for a CPU. */
const FULL_IDLE_SHARE = 0.05;

/** A row of the table. A row with a single cell is about all classes. */
export type Row = readonly [label: string, ...cells: string[]];

/** Returns the table for people, with notes on what may have distorted the numbers. */
export function summaryText(result: LoadResult, verdicts: readonly Verdict[]): string {
  const lines = [
    heading(result),
    '',
    ...table(rowsOf(result)),
    ...notes(result).map((note) => `! ${note}`),
    ...verdicts.map(({ failed, text }) => `${failed ? '✗' : '✓'} ${text}`),
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

function heading({ plan, measuredSeconds, interrupted }: LoadResult): string {
  const way = plan.target.websocket ? ' over WebSocket' : '';
  const end = interrupted ? ', interrupted' : '';
  return `${plan.scenario}  ${plan.target.url}${way}, ${measuredSeconds.toFixed(1)} s measured${end}`;
}

/** The rows of the table: a column for each class, or one. */
export function rowsOf(result: LoadResult): Row[] {
  const { classes, connections, logins, pings, server, generator } = result;
  const row = (label: string, cell: (one: ClassResult) => string): Row => [label, ...classes.map(cell)];
  const rows: Row[] = [];
  if (classes.length > 0) {
    rows.push(
      row('', ({ name }) => name),
      row('pairs', ({ pairs, packetBytes }) => `${pairs} × ${packetBytes} B`),
      row('offered', ({ offeredPerSecond }) => `${formatCount(offeredPerSecond)}/s`),
      row('delivered', ({ deliveredPerSecond }) => `${formatCount(deliveredPerSecond)}/s`),
      row('', ({ deliveredBitsPerSecond }) => formatBits(deliveredBitsPerSecond)),
      row('sent', ({ sent }) => formatCount(sent)),
      row('lost', ({ lost, sent }) => withShare(lost, sent)),
      row('reordered', ({ reordered }) => formatCount(reordered)),
      row('duplicated', ({ duplicated }) => formatCount(duplicated)),
      row('corrupted', ({ corrupted }) => formatCount(corrupted)),
      row('misrouted', ({ misrouted }) => formatCount(misrouted)),
      row('delayed by the relay', ({ skipped }) => formatCount(skipped)),
      ...latencyRows(
        'latency',
        classes.map(({ latency }) => latency),
      ),
      row('delivered share', ({ share }) => formatShare(share)),
      row('of the worst pair', ({ worstShare }) => formatShare(worstShare)),
      row("Jain's index", ({ jain }) => (jain === null ? '–' : jain.toFixed(4))),
    );
  }
  if (pings.count > 0) rows.push(...latencyRows('ping', [pings]));
  rows.push(
    [
      'connections',
      `${formatCount(connections.opened)} opened, ${formatCount(connections.failed)} failed, ${formatCount(connections.disconnected)} disconnected`,
    ],
    ['login', `p50 ${formatMs(logins.p50Ms)}, p99 ${formatMs(logins.p99Ms)}, max ${formatMs(logins.maxMs)}`],
  );
  if (connections.stalled > 0) {
    rows.push([
      'stalled receivers',
      `${formatCount(connections.stalled)}, of which the relay cut ${formatCount(connections.cut)}`,
    ]);
  }
  if (server !== null) rows.push(['relay process', serverText(server)]);
  const idle = `${formatShare(generator.idleShare)} of the machine idle`;
  rows.push([
    'this tester',
    `${workersText(result.plan.workers)}, ${(generator.cpuShare * 100).toFixed(0)} % of a CPU, timers ${formatMs(generator.lagP99Ms)} late (p99), ${idle}`,
  ]);
  return rows;
}

function serverText({ cpuShare, rssAtStartBytes, rssPeakBytes }: NonNullable<LoadResult['server']>): string {
  return `${(cpuShare * 100).toFixed(0)} % of a CPU, RSS ${formatBytes(rssAtStartBytes)}, at most ${formatBytes(rssPeakBytes)}`;
}

function latencyRows(label: string, all: readonly Latencies[]): Row[] {
  return [
    [`${label} p50`, ...all.map(({ p50Ms }) => formatMs(p50Ms))],
    [`${label} p90`, ...all.map(({ p90Ms }) => formatMs(p90Ms))],
    [`${label} p99`, ...all.map(({ p99Ms }) => formatMs(p99Ms))],
    [`${label} p99.9`, ...all.map(({ p999Ms }) => formatMs(p999Ms))],
    [`${label} max`, ...all.map(({ maxMs }) => formatMs(maxMs))],
  ];
}

function withShare(count: number, whole: number): string {
  return count === 0 ? '0' : `${formatCount(count)} (${formatShare(count / Math.max(1, whole))})`;
}

/** Returns the notes: limits of the tester, limits that the relay announces, connections that failed. */
export function notes({
  generator,
  connections,
  announcedBytesPerSecond,
  connectionErrors,
  interrupted,
  measuredSeconds,
}: LoadResult): string[] {
  const list: string[] = [];
  if (generator.idleShare < FULL_IDLE_SHARE && measuredSeconds > 0) {
    list.push('This machine had no CPU left: the relay, the tester and other programs slowed each other down.');
  }
  for (const limit of generator.limits) list.push(`The generator may have limited the result: ${limit}.`);
  if (announcedBytesPerSecond !== null && announcedBytesPerSecond > 0) {
    list.push(
      `The relay announces a limit of ${formatBits(announcedBytesPerSecond * 8)} for each client. Real clients drop what is over it; this tester sends it.`,
    );
  }
  if (connections.stalled > 0 && connections.cut < connections.stalled) {
    const each = connections.fedBytes / connections.stalled;
    list.push(
      `${connections.stalled - connections.cut} receivers that do not read are still connected; each was sent ${formatBytes(each)}. The kernels alone may hold that much before the relay notices: feed more, or for longer.`,
    );
  }
  for (const { count, message } of connectionErrors) list.push(`${count} × ${message}`);
  if (interrupted) list.push(`It was interrupted: the numbers are those of ${measuredSeconds.toFixed(1)} s.`);
  return list;
}

function table(rows: readonly Row[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    // A single text in a row may be of any length.
    const cells = row.length > 2 || rows.every(({ length }) => length <= 2) ? row : row.slice(0, 1);
    for (const [column, cell] of cells.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
