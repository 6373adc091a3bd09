import type { ConnectionRow, ConnectionsAnswer, StatusAnswer } from '../../api/shapes.ts';
import { formatDuration } from '../../base/duration.ts';
import { printable } from '../../base/printable.ts';
import { cutToWidth } from '../../base/terminal-text.ts';
import { formatBytes, formatCount } from '../load/format.ts';
import { formatRate, headline } from './status-text.ts';

interface Column {
  readonly title: string;
  readonly width: number;
  /** Numbers are aligned to the right. */
  readonly isNumber: boolean;
  readonly text: (row: ConnectionRow) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'client', width: 24, isNumber: false, text: ({ name, shortKey }) => name ?? shortKey },
  { title: 'from it', width: 13, isNumber: true, text: ({ received }) => formatRate(received.bytesPerSecond) },
  { title: 'to it', width: 13, isNumber: true, text: ({ sent }) => formatRate(sent.bytesPerSecond) },
  { title: 'dropped', width: 9, isNumber: true, text: ({ droppedPackets }) => formatCount(droppedPackets) },
  { title: 'queue', width: 10, isNumber: true, text: ({ queuedBytes }) => formatBytes(queuedBytes) },
  { title: 'since', width: 12, isNumber: true, text: ({ ageSeconds }) => formatDuration(ageSeconds) },
  { title: 'address', width: 40, isNumber: false, text: ({ ip }) => ip },
];
const GAP = '  ';
/**
 * Lines besides the rows: the headline, an empty line, the titles, the line about more connections, and the cursor's
 * line.
 */
export const LINES_AROUND_ROWS = 5;

/**
 * Returns one screen of `towpath top`: the state, then one line per connection, for a terminal with `columns` columns.
 * Without a width, as in a pipe, lines are not cut.
 */
export function topText(status: StatusAnswer, connections: ConnectionsAnswer, columns: number | undefined): string {
  const rows = connections.rows.map((row) => line(COLUMNS.map((column) => cell(column, printable(column.text(row))))));
  const titles = line(COLUMNS.map((column) => cell(column, column.title)));
  const more = connections.matching - connections.rows.length;
  const rest = more > 0 ? [`… and ${formatCount(more)} more`] : [];
  return [headline(status, columns), '', titles, ...rows, ...rest]
    .map((text) => `${cutToWidth(text, columns)}\n`)
    .join('');
}

function line(cells: readonly string[]): string {
  return cells.join(GAP).trimEnd();
}

function cell({ width, isNumber }: Column, text: string): string {
  const cut = cutToWidth(text, width + 1);
  return isNumber ? cut.padStart(width) : cut.padEnd(width);
}
