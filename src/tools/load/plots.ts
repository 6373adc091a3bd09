import { plot, type Series } from './plot.ts';
import type { LoadResult, TimelinePoint } from './result.ts';
import { BYTES, COUNTS, MILLISECONDS, SHARES } from './scale.ts';

type ClassPoint = TimelinePoint['classes'][number];

/** The plots of a run over time; those of what was not measured are left out. */
export function plotsOf({ plan, timeline, classes }: LoadResult): string {
  const shared = { seconds: timeline.map(({ atSeconds }) => atSeconds), warmUpSeconds: plan.warmUpMs / 1000 };
  const series = (name: string, value: (point: TimelinePoint) => number | null): Series => {
    return { name, values: timeline.map(value) };
  };
  const isOne = classes.length === 1;
  const ofClass = (index: number, label: string, value: (one: ClassPoint) => number | null): Series => {
    return series(label, (point) => value(point.classes[index]!));
  };
  // A plot for each class: beside greedy pairs, polite ones would be a line on the ground.
  const packets = classes.map(({ name }, index) =>
    plot({
      ...{ ...shared, title: `Packets per second${isOne ? '' : `, ${name} pairs`}`, scale: COUNTS },
      series: [
        ofClass(index, 'delivered', (one) => one.deliveredPerSecond),
        { ...ofClass(index, 'sent', (one) => one.sentPerSecond), isBackdrop: true },
      ],
    }),
  );
  const latencies = classes.flatMap(({ name }, index) => {
    const prefix = isOne ? '' : `${name} `;
    return [ofClass(index, `${prefix}p50`, (one) => one.p50Ms), ofClass(index, `${prefix}p99`, (one) => one.p99Ms)];
  });
  return [
    ...packets,
    plot({ ...shared, title: 'Latency', scale: MILLISECONDS, series: latencies }),
    plot({
      ...{ ...shared, title: 'Packets missing so far, as part of those sent', scale: SHARES },
      series: classes.length === 0 ? [] : [series('missing', ({ lossShare }) => lossShare)],
    }),
    plot({
      ...{ ...shared, title: 'Round trip of a Ping', scale: MILLISECONDS },
      series: [series('p99', ({ pingP99Ms }) => pingP99Ms)],
    }),
    plot({
      ...{ ...shared, title: 'Connections', scale: COUNTS },
      series: [
        series('open', ({ connections }) => connections.open),
        series('lost', ({ connections }) => connections.disconnected),
        ...(plan.stalled === null ? [] : [series('stalled and cut', ({ connections }) => connections.cut)]),
      ],
    }),
    plot({
      ...{ ...shared, title: 'CPU, 100 % being one core', scale: SHARES },
      series: [
        series('relay', ({ serverCpuShare }) => serverCpuShare),
        series('this tester (its busiest worker)', ({ generatorCpuShare }) => generatorCpuShare),
      ],
    }),
    plot({
      ...{ ...shared, title: 'Memory of the relay', scale: BYTES },
      series: [series('resident', ({ serverRssBytes }) => serverRssBytes)],
    }),
    plot({
      ...{ ...shared, title: "How late this tester's own timers were", scale: MILLISECONDS },
      series: [series('p99', ({ lagP99Ms }) => lagP99Ms)],
    }),
  ].join('');
}
