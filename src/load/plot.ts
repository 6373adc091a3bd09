/** One line of a plot; null where nothing was measured. */
export interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

/** What a plot shows over time. */
export interface PlotData {
  readonly title: string;
  /** A value as the axis shows it. */
  readonly format: (value: number) => string;
  /** The time of each value, in seconds, ascending. */
  readonly seconds: readonly number[];
  /** Until then nothing counts; drawn in grey. */
  readonly warmUpSeconds: number;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 200;
const LEFT = 84;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 26;
const LINES_ACROSS = 4;
const TIME_LABELS = 6;

/** Draws a plot as a figure with inline SVG; empty when there is nothing to draw. */
export function plot(data: PlotData): string {
  const series = data.series.filter(({ values }) => values.some((value) => value !== null));
  if (series.length === 0 || data.seconds.length < 2) return '';
  const most = niceCeiling(Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const last = data.seconds.at(-1)!;
  const x = (seconds: number): number => LEFT + (seconds / last) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    warmUp(x(Math.min(data.warmUpSeconds, last))),
    ...grid(most, y, data.format),
    ...times(last, x),
    ...series.map((one, index) => line(one, index, data.seconds, x, y)),
  ];
  const legend = series.map(({ name }, index) => `<span class="l${index}">${escapeHtml(name)}</span>`).join(' ');
  return (
    `<figure><figcaption>${escapeHtml(data.title)} ${legend}</figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(data.title)}">${parts.join('')}</svg></figure>\n`
  );
}

/** Text as it stands in HTML, in an attribute too. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** The next number of the form 1, 2, 2.5 or 5 times a power of ten; 1 for nothing. */
export function niceCeiling(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5].find((step) => step * power >= value) ?? 10) * power;
}

function warmUp(toX: number): string {
  return `<rect class="warm" x="${LEFT}" y="${TOP}" width="${at(toX - LEFT)}" height="${HEIGHT - TOP - BOTTOM}"/>`;
}

function grid(most: number, y: (value: number) => number, format: (value: number) => string): string[] {
  return Array.from({ length: LINES_ACROSS + 1 }, (_, index) => {
    const value = (most * index) / LINES_ACROSS;
    return (
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(value))}" y2="${at(y(value))}"/>` +
      `<text text-anchor="end" x="${LEFT - 6}" y="${at(y(value) + 4)}">${escapeHtml(format(value))}</text>`
    );
  });
}

function times(last: number, x: (seconds: number) => number): string[] {
  const step = niceCeiling(last / TIME_LABELS);
  const count = Math.floor(last / step) + 1;
  return Array.from({ length: count }, (_, index) => {
    const seconds = index * step;
    const text = `${Number(seconds.toFixed(3))} s`;
    return `<text text-anchor="middle" x="${at(x(seconds))}" y="${HEIGHT - 8}">${text}</text>`;
  });
}

function line(
  { values }: Series,
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
    path += `${isDrawing ? 'L' : 'M'}${at(x(time))} ${at(y(value))}`;
    isDrawing = true;
  }
  return `<path class="s${index}" d="${path}"/>`;
}

function at(pixels: number): string {
  return String(Math.round(pixels * 10) / 10);
}
