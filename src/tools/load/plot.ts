import { printable } from '../../base/printable.ts';
import { niceCeiling, ticksUpTo, type Scale, type Tick } from './scale.ts';

/** One line of a plot; null where nothing was measured. */
export interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** Drawn broad and pale, so that a line that should lie on it does not hide it. */
  readonly isBackdrop?: true;
}

/** What a plot shows over time. */
export interface PlotData {
  readonly title: string;
  readonly scale: Scale;
  /** The time of each value, in seconds, ascending. */
  readonly seconds: readonly number[];
  /** Until then nothing counts; drawn in grey. */
  readonly warmUpSeconds: number;
  readonly series: readonly Series[];
}

/** Pixels. The width is that of the page: only the lines are stretched, so that text can be read on a telephone too. */
const HEIGHT = 150;
const LABEL_GAP = 8;
const TIME_LABEL_Y = HEIGHT + 18;
/** Width of the lines' own coordinates. */
const LINE_WIDTH = 1000;
const TIME_LABELS = 6;
/** From this many seconds on, time is shown in minutes. */
const MINUTES_FROM_SECONDS = 180;

/** Draws a plot as a figure with inline SVG, or a sentence when nothing changes; empty when nothing was measured. */
export function plot({ title, scale, seconds, warmUpSeconds, series: all }: PlotData): string {
  const series = all.filter(({ values }) => values.some((value) => value !== null));
  const last = seconds.at(-1);
  if (series.length === 0 || last === undefined || seconds.length < 2) return '';
  if (series.every(isSteady)) return steady(title, scale, series);
  const ticks = ticksUpTo(Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0))), scale);
  const most = ticks.at(-1)!.value;
  const y = (value: number): number => HEIGHT - (value / most) * HEIGHT;
  const paths = series.map((one, index) => line(one, index, seconds, (time) => (time / last) * LINE_WIDTH, y));
  const legend = series.map(({ name, isBackdrop }, index) => {
    return `<span class="l${index}${isBackdrop === true ? ' under' : ''}">${escapeHtml(name)}</span>`;
  });
  return (
    `<figure><figcaption><b>${escapeHtml(title)}</b> ${legend.join(' ')}</figcaption>` +
    `<svg height="${TIME_LABEL_Y + 4}" role="img" aria-label="${escapeHtml(title)}">` +
    `<rect class="warm" width="${at(Math.min(1, warmUpSeconds / last) * 100)}%" height="${HEIGHT}"/>` +
    ticks.map((tick) => across(tick, y(tick.value))).join('') +
    times(last) +
    `<svg viewBox="0 0 ${LINE_WIDTH} ${HEIGHT}" width="100%" height="${HEIGHT}" preserveAspectRatio="none">` +
    `${paths.join('')}</svg></svg></figure>\n`
  );
}

/** Text as it stands in HTML, in an attribute too. */
export function escapeHtml(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

function isSteady({ values }: Series): boolean {
  return values.every((value) => value === values[0]);
}

function steady(title: string, { format }: Scale, series: readonly Series[]): string {
  const texts = series.map(({ name, values }) => `${name} ${format(values[0] ?? 0)}`);
  return `<p class="steady"><b>${escapeHtml(title)}</b> ${escapeHtml(texts.join(', '))}, all the time</p>\n`;
}

function across({ text }: Tick, y: number): string {
  return (
    `<line class="grid" x2="100%" y1="${at(y)}" y2="${at(y)}"/>` +
    `<text text-anchor="end" x="-${LABEL_GAP}" y="${at(y + 4)}">${escapeHtml(text)}</text>`
  );
}

function times(last: number): string {
  const [size, name] = last >= MINUTES_FROM_SECONDS ? [60, 'min'] : [1, 's'];
  const step = niceCeiling(last / size / TIME_LABELS);
  const count = Math.floor(last / size / step) + 1;
  return Array.from({ length: count }, (_, index) => {
    const time = Number((index * step).toFixed(3));
    const x = at(((time * size) / last) * 100);
    return `<text text-anchor="middle" x="${x}%" y="${TIME_LABEL_Y}">${time} ${name}</text>`;
  }).join('');
}

function line(
  { values, isBackdrop }: Series,
  index: number,
  seconds: readonly number[],
  x: (seconds: number) => number,
  y: (value: number) => number,
): string {
  let path = '';
  let isDrawing = false;
  for (const [i, value] of values.entries()) {
    const time = seconds[i];
    if (value === null || time === undefined) {
      isDrawing = false;
      continue;
    }
    const point = `${at(x(time))} ${at(y(value))}`;
    // A line of no length is a dot: one value between two gaps must be seen too.
    path += isDrawing ? `L${point}` : `M${point}h0`;
    isDrawing = true;
  }
  return `<path class="s${index}${isBackdrop === true ? ' under' : ''}" d="${path}"/>`;
}

function at(pixels: number): string {
  return String(Math.round(pixels * 10) / 10);
}
