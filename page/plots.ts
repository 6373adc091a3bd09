import uPlot from 'uplot';
import type { HistoryAnswer, HistoryColumn } from '../src/api/shapes.ts';
import { byId, h } from './dom.ts';
import { count, milliseconds, rate } from './format.ts';

const HEIGHT = 170;

interface PlotLine {
  readonly column: HistoryColumn;
  readonly label: string;
  readonly color: string;
}

interface PlotKind {
  readonly title: string;
  readonly format: (value: number | null) => string;
  readonly lines: readonly PlotLine[];
}

const KINDS: readonly PlotKind[] = [
  {
    title: 'Throughput',
    format: rate,
    lines: [
      { column: 'receivedBytesPerSecond', label: 'from clients', color: '--plot-1' },
      { column: 'sentBytesPerSecond', label: 'to clients', color: '--plot-2' },
    ],
  },
  {
    title: 'Connections',
    format: count,
    lines: [{ column: 'connections', label: 'connections', color: '--plot-1' }],
  },
  {
    title: 'Latency inside the relay',
    format: milliseconds,
    lines: [
      { column: 'queueDelaySeconds', label: 'packets wait', color: '--plot-1' },
      { column: 'loopDelaySeconds', label: 'longest pause', color: '--plot-2' },
    ],
  },
];

/** The plots of the last hour. They follow the width of the page and its colours. */
export class Plots {
  readonly #plots: { readonly kind: PlotKind; readonly place: HTMLElement; plot: uPlot | null }[];
  #history: HistoryAnswer | null = null;

  constructor() {
    this.#plots = KINDS.map((kind) => {
      const place = h('div', {}, h('p', { class: 'empty' }, 'the first values come in ten seconds'));
      byId('plots').append(h('div', { class: 'card plot' }, h('h2', {}, kind.title), place));
      return { kind, place, plot: null };
    });
    new ResizeObserver(() => this.#resize()).observe(byId('plots'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#redraw());
  }

  /** Shows another history. */
  update(history: HistoryAnswer): void {
    this.#history = history;
    if (history.time.length < 2) return;
    for (const each of this.#plots) {
      const data = dataOf(each.kind, history);
      if (each.plot === null) {
        each.place.replaceChildren();
        each.plot = new uPlot(optionsOf(each.kind, each.place.clientWidth), data, each.place);
      } else {
        each.plot.setData(data);
      }
    }
  }

  #resize(): void {
    for (const { plot, place } of this.#plots) plot?.setSize({ width: place.clientWidth, height: HEIGHT });
  }

  #redraw(): void {
    for (const each of this.#plots) {
      each.plot?.destroy();
      each.plot = null;
    }
    if (this.#history !== null) this.update(this.#history);
  }
}

function dataOf({ lines }: PlotKind, { time, columns }: HistoryAnswer): uPlot.AlignedData {
  return [[...time], ...lines.map(({ column }) => [...columns[column]])];
}

function optionsOf({ format, lines }: PlotKind, width: number): uPlot.Options {
  const line = color('--line');
  const axis = { stroke: color('--soft'), grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: 'towpath' }, y: false },
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, values: '{HH}:{mm}', space: 60 },
      { ...axis, size: 74, values: (_plot, values) => values.map((value) => format(value)) },
    ],
    series: [
      { label: 'time', value: '{HH}:{mm}:{ss}' },
      ...lines.map((each) => ({
        label: each.label,
        stroke: color(each.color),
        width: 1.5,
        points: { show: false },
        value: (_plot: uPlot, value: number | null) => format(value),
      })),
    ],
  };
}

/** Returns the value of a colour variable, in the form for a canvas. */
function color(name: string): string {
  const probe = h('i');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
