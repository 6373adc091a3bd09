/**
 * Draws the plots of a load report with uPlot: `npm run build:page` puts this script into src/tools/load/plot-files.ts.
 * The report has an empty figure for each plot, and the result as JSON.
 */
import uPlot from 'uplot';
import { isSteady, plotsOf, type PlotData, type PlottedResult, type Series } from '../../src/tools/load/plots.ts';

/** Height of a plot in CSS pixels. */
const HEIGHT = 190;
const AXIS_WIDTH = 80;
/** Fits between the margins of A4 and of US Letter. */
const PRINT_WIDTH = 680;
/** From this length on, the time axis is in minutes. */
const MINUTES_FROM_SECONDS = 180;
const MINUTE_STEPS = [15, 30, 60, 120, 300, 600, 1200, 1800];

const result = JSON.parse(document.getElementById('result')!.textContent) as PlottedResult;
const figures = [...document.querySelectorAll('figure')];
const data = plotsOf(result).filter((plot) => !isSteady(plot));
let plots: uPlot[] = [];

/** Draws every plot again, in the present colours. `width` is in CSS pixels. */
function draw(width: number): void {
  for (const plot of plots) plot.destroy();
  plots = data.map((plot, index) => {
    const values = plot.series.map((series) => [...series.values]);
    return new uPlot(optionsOf(plot, width), [[...plot.seconds], ...values], figures[index]);
  });
}

function optionsOf({ scale, seconds, warmUpSeconds, series }: PlotData, width: number): uPlot.Options {
  const end = seconds.at(-1) ?? 1;
  const line = { stroke: color('--rule'), width: 1 };
  const axis = { stroke: color('--quiet'), font: '12px system-ui, sans-serif', grid: line, ticks: line };
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: 'time' }, y: false },
    scales: {
      x: { time: false, range: () => [0, end] },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.05 : 1] },
    },
    axes: [
      {
        ...axis,
        ...(end >= MINUTES_FROM_SECONDS ? { incrs: MINUTE_STEPS } : {}),
        values: (_plot, times) => times.map((time) => timeText(time, end)),
      },
      {
        ...axis,
        size: AXIS_WIDTH,
        ...(scale.steps === null ? {} : { incrs: [...scale.steps] }),
        values: (_plot, values) => values.map(scale.format),
      },
    ],
    series: [
      { label: 'time', value: (_plot, time: number | null) => (time === null ? '–' : `${time} s`) },
      ...series.map((each, index) => lineOf(each, index, scale.format)),
    ],
    hooks: { drawClear: [(plot) => shadeWarmUp(plot, warmUpSeconds)] },
  };
}

function lineOf({ name, isBackdrop }: Series, index: number, format: (value: number) => string): uPlot.Series {
  const stroke = color(`--c${index}`);
  return {
    label: name,
    // The two last digits are the opacity.
    stroke: isBackdrop === true ? `${stroke}59` : stroke,
    width: isBackdrop === true ? 7 : 1.8,
    points: { size: 4 },
    value: (_plot, value: number | null) => (value === null ? '–' : format(value)),
  };
}

function timeText(seconds: number, end: number): string {
  return end >= MINUTES_FROM_SECONDS ? `${seconds / 60} min` : `${seconds} s`;
}

function shadeWarmUp(plot: uPlot, warmUpSeconds: number): void {
  const { left, top, width, height } = plot.bbox;
  const right = Math.min(plot.valToPos(warmUpSeconds, 'x', true), left + width);
  plot.ctx.fillStyle = color('--card');
  plot.ctx.fillRect(left, top, Math.max(0, right - left), height);
}

/** Returns the value of a colour variable: `#` and six hexadecimal digits, or three. */
function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawForScreen(): void {
  document.documentElement.classList.remove('printed');
  draw(figures[0]?.clientWidth ?? PRINT_WIDTH);
}

let drawnWidth = 0;
new ResizeObserver(([body]) => {
  const width = body!.contentRect.width;
  if (width === drawnWidth || document.documentElement.classList.contains('printed')) return;
  drawnWidth = width;
  drawForScreen();
}).observe(document.body);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawForScreen);
addEventListener('beforeprint', () => {
  document.documentElement.classList.add('printed');
  draw(PRINT_WIDTH);
});
addEventListener('afterprint', drawForScreen);
