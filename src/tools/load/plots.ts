import type { LoadPlan } from './plan.ts';
import type { LoadResult, TimelinePoint } from './result.ts';
import { BYTES, COUNTS, MILLISECONDS, SHARES, type Scale } from './scale.ts';

/** One line of a plot; null where nothing was measured. */
export interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** Drawn broad and pale: another line usually covers it, and both must be seen. */
  readonly isBackdrop?: boolean;
}

/** What a plot shows over time. */
export interface PlotData {
  readonly title: string;
  readonly scale: Scale;
  /** The time of each value, in seconds since the start of the traffic, ascending. */
  readonly seconds: readonly number[];
  /** The measurement starts at this time, in seconds. The part before is drawn in grey. */
  readonly warmUpSeconds: number;
  readonly series: readonly Series[];
}

/** What plots need of a result. The JSON inside the report has it too. */
export interface PlottedResult extends Pick<LoadResult, 'timeline' | 'classes'> {
  readonly plan: Pick<LoadPlan, 'warmUpMs' | 'stalled'>;
}

type ClassPoint = TimelinePoint['classes'][number];

/** Returns the plots of a run over time. Lines without values, and plots without lines, are left out. */
export function plotsOf({ plan, timeline, classes }: PlottedResult): PlotData[] {
  const shared = { seconds: timeline.map(({ atSeconds }) => atSeconds), warmUpSeconds: plan.warmUpMs / 1000 };
  const series = (name: string, value: (point: TimelinePoint) => number | null): Series => {
    return { name, values: timeline.map(value) };
  };
  const isOne = classes.length === 1;
  const ofClass = (index: number, label: string, value: (one: ClassPoint) => number | null): Series => {
    return series(label, (point) => value(point.classes[index]!));
  };
  // Each class has its own plot: on the scale of greedy pairs, the line of polite pairs would lie on the axis.
  const packets = classes.map(({ name }, index) => ({
    ...{ ...shared, title: `Packets per second${isOne ? '' : `, ${name} pairs`}`, scale: COUNTS },
    series: [
      ofClass(index, 'delivered', (one) => one.deliveredPerSecond),
      { ...ofClass(index, 'sent', (one) => one.sentPerSecond), isBackdrop: true },
    ],
  }));
  const latencies = classes.flatMap(({ name }, index) => {
    const prefix = isOne ? '' : `${name} `;
    return [ofClass(index, `${prefix}p50`, (one) => one.p50Ms), ofClass(index, `${prefix}p99`, (one) => one.p99Ms)];
  });
  const all: readonly PlotData[] = [
    ...packets,
    { ...shared, title: 'Latency', scale: MILLISECONDS, series: latencies },
    {
      ...{ ...shared, title: 'Packets missing so far, as part of those sent', scale: SHARES },
      series: classes.length === 0 ? [] : [series('missing', ({ lossShare }) => lossShare)],
    },
    {
      ...{ ...shared, title: 'Round trip of a Ping', scale: MILLISECONDS },
      series: [series('p99', ({ pingP99Ms }) => pingP99Ms)],
    },
    {
      ...{ ...shared, title: 'Connections', scale: COUNTS },
      series: [
        series('open', ({ connections }) => connections.open),
        series('lost', ({ connections }) => connections.disconnected),
        ...(plan.stalled === null ? [] : [series('stalled and cut', ({ connections }) => connections.cut)]),
      ],
    },
    {
      ...{ ...shared, title: 'CPU, 100 % being one core', scale: SHARES },
      series: [
        series('relay', ({ serverCpuShare }) => serverCpuShare),
        series('this tester (its busiest worker)', ({ generatorCpuShare }) => generatorCpuShare),
      ],
    },
    {
      ...{ ...shared, title: 'Memory of the relay', scale: BYTES },
      series: [series('resident', ({ serverRssBytes }) => serverRssBytes)],
    },
    {
      ...{ ...shared, title: "How late this tester's own timers were", scale: MILLISECONDS },
      series: [series('p99', ({ lagP99Ms }) => lagP99Ms)],
    },
  ];
  return all.map(onlyMeasured).filter((plot) => plot.series.length > 0 && plot.seconds.length > 1);
}

/** True when no line of the plot changes: one sentence then says as much as a drawing. */
export function isSteady({ series }: PlotData): boolean {
  return series.every(({ values }) => values.every((value) => value === values[0]));
}

function onlyMeasured(plot: PlotData): PlotData {
  return { ...plot, series: plot.series.filter(({ values }) => values.some((value) => value !== null)) };
}
