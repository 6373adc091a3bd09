/**
 * The output of `towpath status` and `towpath top`: answers of the admin API as lines for a terminal. This file has the
 * state of one relay and the formats of numbers; `top-text.ts` has the list of connections.
 */
import type { Problem, StatusAnswer } from '../../api/shapes.ts';
import { formatDuration } from '../../base/duration.ts';
import { printable } from '../../base/printable.ts';
import { cutToWidth, wrapWords } from '../../base/terminal-text.ts';
import { formatBits, formatBytes, formatCount, formatMs, formatShare } from '../load/format.ts';

const LABEL_COLUMNS = 14;
const BITS = 8;
const MS_PER_SECOND = 1000;
const MOST_DROPS = 3;

/** The lines about one relay, wrapped at words for a terminal with `columns` columns. */
export function statusText(status: StatusAnswer, columns?: number): string {
  const { totals, rates, process, listeners } = status;
  const rows: [label: string, text: string][] = [
    ['relay', `${status.hostname ?? listeners.derp.join(' ')}, towpath ${status.version} on ${status.runtime}`],
    ['up', formatDuration(status.uptimeSeconds)],
    ['clients', `${formatCount(totals.connections)} connections, ${formatCount(totals.keys)} node keys`],
    ['traffic', trafficText(status)],
    ['dropped', droppedText(status)],
    [
      'refused',
      rates === null
        ? formatCount(totals.refusals)
        : `${formatCount(totals.refusals)}, ${formatCount(rates.refusals)}/s now`,
    ],
    ['waiting', `${formatMs(process.queueDelaySeconds * MS_PER_SECOND)} in the relay before a packet is written`],
    ['process', `${formatShare(process.cpuShare)} of a core, ${formatBytes(process.residentBytes)}, id ${process.pid}`],
  ];
  const problems = [...status.problems.map(problemRow('problem')), ...status.warnings.map(problemRow('warning'))];
  return [['state', stateOf(status)] as const, ...problems, ...rows]
    .map(([label, text]) => `${label.padEnd(LABEL_COLUMNS)}${wrapWords(printable(text), columns, LABEL_COLUMNS)}\n`)
    .join('');
}

/** One line about the state, cut to the width of a terminal. */
export function headline(status: StatusAnswer, columns: number | undefined): string {
  const { totals } = status;
  const parts = [stateOf(status), `${formatCount(totals.connections)} connections`, trafficText(status)];
  return cutToWidth(printable(parts.join(' · ')), columns);
}

/** Bytes per second as bits, or a dash while they are not known. */
export function formatRate(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? '–' : formatBits(bytesPerSecond * BITS);
}

function stateOf({ isReady, isDraining }: StatusAnswer): string {
  if (isDraining) return 'draining';
  return isReady ? 'ready' : 'NOT READY';
}

function problemRow(label: string): (problem: Problem) => [string, string] {
  return ({ problem, advice }) => [label, advice === '' ? problem : `${problem}. ${advice}`];
}

function trafficText({ totals, rates }: StatusAnswer): string {
  const total = `${formatBytes(totals.receivedBytes)} in, ${formatBytes(totals.sentBytes)} out`;
  if (rates === null) return total;
  return `${formatRate(rates.receivedBytes)} in, ${formatRate(rates.sentBytes)} out (${total})`;
}

function droppedText({ totals }: StatusAnswer): string {
  const most = Object.entries(totals.drops)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_DROPS)
    .map(([reason, count]) => `${reason} ${formatCount(count)}`);
  const packets = `${formatCount(totals.droppedPackets)} packets`;
  return most.length === 0 ? packets : `${packets}: ${most.join(', ')}`;
}
