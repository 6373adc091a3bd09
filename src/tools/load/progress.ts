import { cutToWidth } from '../../base/terminal-text.ts';
import { formatBits, formatCount, formatMs, formatShare } from './format.ts';
import type { LoadPlan } from './plan.ts';
import type { TimelinePoint } from './result.ts';

const BAR_COLUMNS = 20;
const CLEAR_LINE = '\r\u001b[K';

/** The parts of a terminal that the line needs. Its width may change during the run. */
export interface ProgressTerminal {
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** A progress line that is rewritten during a run. Without a terminal, nothing is written. */
export class ProgressLine {
  readonly #plan: LoadPlan;
  readonly #terminal: ProgressTerminal | null;
  #shownAtMs = 0;

  /** Null: there is no terminal. */
  constructor(plan: LoadPlan, terminal: ProgressTerminal | null) {
    this.#plan = plan;
    this.#terminal = terminal;
  }

  /** Shows the number of open connections before the traffic starts. */
  opening(opened: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownAtMs < 100) return;
    this.#shownAtMs = nowMs;
    const wanted = this.#plan.groups.reduce((sum, { pairs }) => sum + 2 * pairs, this.#plan.stalled?.receivers ?? 0);
    this.#show(`${bar(opened / Math.max(1, wanted))} connecting ${opened}/${wanted}`);
  }

  /** Shows the newest point of the timeline. */
  point(point: TimelinePoint): void {
    if (this.#terminal !== null) this.#show(pointText(point, this.#plan));
  }

  /** Clears the line. */
  clear(): void {
    this.#terminal?.write(CLEAR_LINE);
  }

  #show(text: string): void {
    this.#terminal?.write(`${CLEAR_LINE}${cutToWidth(text, this.#terminal.columns)}`);
  }
}

/** One point of the timeline as one line. */
function pointText(point: TimelinePoint, plan: LoadPlan): string {
  const wholeSeconds = (plan.warmUpMs + plan.durationMs) / 1000;
  const parts = [`${bar(point.atSeconds / wholeSeconds)} ${point.atSeconds.toFixed(0)}/${wholeSeconds.toFixed(0)} s`];
  for (const { name, deliveredPerSecond, p99Ms } of point.classes) {
    const bytes = plan.groups.find(({ className }) => className === name)?.packetBytes ?? 0;
    const rate = `${formatCount(deliveredPerSecond)}/s ${formatBits(deliveredPerSecond * bytes * 8)}`;
    parts.push(`${plan.groups.length > 1 ? `${name} ` : ''}${rate} p99 ${formatMs(p99Ms)}`);
  }
  if (point.classes.length > 0) parts.push(`loss ${formatShare(point.lossShare)}`);
  const { open, failed, stalled, cut } = point.connections;
  if (plan.connections !== null) parts.push(`${open} open, ${failed} failed, ping p99 ${formatMs(point.pingP99Ms)}`);
  if (stalled > 0) parts.push(`cut ${cut}/${stalled}`);
  if (!point.measured) parts.push('(warm-up)');
  return parts.join('  ');
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_COLUMNS);
  return `[${'█'.repeat(full)}${' '.repeat(BAR_COLUMNS - full)}]`;
}
