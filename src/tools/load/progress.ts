import { formatBits, formatCount, formatMs, formatShare } from './format.ts';
import type { LoadPlan } from './plan.ts';
import type { TimelinePoint } from './result.ts';

const BAR_COLUMNS = 20;
const CLEAR_LINE = '\r\u001b[K';

/** The line that is rewritten while a run goes on. Without a terminal nothing is written at all. */
export class ProgressLine {
  readonly #plan: LoadPlan;
  readonly #write: ((text: string) => void) | null;
  #shownAtMs = 0;

  /** `write` goes to the terminal; null is for none. */
  constructor(plan: LoadPlan, write: ((text: string) => void) | null) {
    this.#plan = plan;
    this.#write = write;
  }

  /** Shows the number of open connections before the traffic starts. */
  opening(opened: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownAtMs < 100) return;
    this.#shownAtMs = nowMs;
    const wanted = this.#plan.groups.reduce((sum, { pairs }) => sum + 2 * pairs, this.#plan.stalled?.receivers ?? 0);
    this.#show(`${bar(opened / Math.max(1, wanted))} connecting ${opened}/${wanted}`);
  }

  /** How it goes. */
  point(point: TimelinePoint): void {
    if (this.#write !== null) this.#show(pointText(point, this.#plan));
  }

  /** Takes the line away. */
  clear(): void {
    this.#write?.(CLEAR_LINE);
  }

  #show(text: string): void {
    this.#write?.(`${CLEAR_LINE}${text}`);
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
