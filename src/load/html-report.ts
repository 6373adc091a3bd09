import type { Verdict } from './fail-if.ts';
import { formatBytes, formatCount, formatMs, formatShare } from './format.ts';
import { jsonReport } from './json-report.ts';
import { escapeHtml, plot, type Series } from './plot.ts';
import type { LoadResult, TimelinePoint } from './result.ts';
import { heading, notes, rowsOf } from './summary.ts';

/** Six colours that are told apart on white and on black, also by most colour-blind people. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00'];

const STYLE = `
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td { padding: 0.1rem 1.2rem 0.1rem 0; vertical-align: top; }
figure { margin: 1.6rem 0; }
svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
path { fill: none; stroke-width: 1.6; }
.grid { stroke: currentColor; stroke-opacity: 0.15; }
.warm { fill: currentColor; fill-opacity: 0.06; }
.failed { color: #d33; font-weight: bold; }
figcaption span { margin-left: 0.8rem; }
figcaption span::before { content: '■ '; }
${COLOURS.map((colour, i) => `.s${i} { stroke: ${colour}; } .l${i}::before { color: ${colour}; }`).join('\n')}
`;

/** One page with the summary, plots over time and, as JSON in it, the whole result. It loads nothing from elsewhere. */
export function htmlReport(result: LoadResult, verdicts: readonly Verdict[]): string {
  const title = `towpath load ${heading(result)}`;
  const rows = rowsOf(result).map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`);
  const items = [
    ...verdicts.map(
      ({ failed, text }) => `<li${failed ? ' class="failed"' : ''}>${failed ? '✗' : '✓'} ${escapeHtml(text)}</li>`,
    ),
    ...notes(result).map((note) => `<li>${escapeHtml(note)}</li>`),
  ];
  // A "<" inside a string may be written as an escape: then no text of the result can end the element.
  const json = jsonReport(result, verdicts).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p>Started ${escapeHtml(result.startedAt)}. The grey part of the plots is the warm-up.</p>
<ul>
${items.join('\n')}
</ul>
<table>
${rows.join('\n')}
</table>
${plots(result)}
<script type="application/json" id="result">
${json}</script>
</body>
</html>
`;
}

function plots(result: LoadResult): string {
  const { plan, timeline, classes } = result;
  const shared = { seconds: timeline.map(({ atSeconds }) => atSeconds), warmUpSeconds: plan.warmUpMs / 1000 };
  const series = (name: string, value: (point: TimelinePoint) => number | null): Series => {
    return { name, values: timeline.map(value) };
  };
  const ofClasses = (label: string, value: (one: TimelinePoint['classes'][number]) => number | null): Series[] =>
    classes.map(({ name }, index) => series(`${name} ${label}`, (point) => value(point.classes[index]!)));
  const count = (value: number): string => formatCount(value);
  const share = (value: number): string => formatShare(value);
  const milliseconds = (value: number): string => formatMs(value);
  return [
    plot({
      ...{ ...shared, title: 'Packets per second', format: count },
      series: [
        ...ofClasses('sent', (one) => one.sentPerSecond),
        ...ofClasses('delivered', (one) => one.deliveredPerSecond),
      ],
    }),
    plot({
      ...{ ...shared, title: 'Latency', format: milliseconds },
      series: [...ofClasses('p50', (one) => one.p50Ms), ...ofClasses('p99', (one) => one.p99Ms)],
    }),
    plot({
      ...{ ...shared, title: 'Missing packets, as part of those sent', format: share },
      series: classes.length === 0 ? [] : [series('missing', ({ lossShare }) => lossShare)],
    }),
    plot({
      ...{ ...shared, title: 'Ping', format: milliseconds },
      series: [series('p99', ({ pingP99Ms }) => pingP99Ms)],
    }),
    plot({
      ...{ ...shared, title: 'Connections', format: count },
      series: [
        series('open', ({ connections }) => connections.open),
        series('disconnected', ({ connections }) => connections.disconnected),
        ...(plan.stalled === null ? [] : [series('stalled and cut', ({ connections }) => connections.cut)]),
      ],
    }),
    plot({
      ...{ ...shared, title: 'CPU, part of one', format: share },
      series: [
        series('relay', ({ serverCpuShare }) => serverCpuShare),
        series('this tester (busiest worker)', ({ generatorCpuShare }) => generatorCpuShare),
      ],
    }),
    plot({
      ...{ ...shared, title: 'Memory of the relay', format: formatBytes },
      series: [series('resident', ({ serverRssBytes }) => serverRssBytes)],
    }),
    plot({
      ...{ ...shared, title: "Lateness of this tester's own timers", format: milliseconds },
      series: [series('p99', ({ lagP99Ms }) => lagP99Ms)],
    }),
  ].join('');
}
