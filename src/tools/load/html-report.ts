import { escapeHtml } from './escape-html.ts';
import type { Verdict } from './fail-if.ts';
import { formatMetric } from './format.ts';
import { STYLE } from './html-style.ts';
import { jsonReport } from './json-report.ts';
import { metricsOf } from './metrics.ts';
import type { Scenario } from './plan.ts';
import { isSteady, plotsOf, type PlotData } from './plots.ts';
import { PLOT_FILES } from './plot-files.ts';
import type { LoadResult } from './result.ts';
import { settingsOf } from './settings.ts';
import { notes, rowsOf, type Row } from './summary.ts';

type Headline = readonly [metric: string, label: string];

/** The numbers that matter most in each scenario. They stand at the top of the page. */
export const HEADLINES: Readonly<Record<Scenario, readonly Headline[]>> = {
  throughput: [
    ['delivered-bits', 'delivered'],
    ['p50', 'latency p50'],
    ['p99', 'latency p99'],
    ['loss', 'lost'],
  ],
  latency: [
    ['p50', 'latency p50'],
    ['p99', 'latency p99'],
    ['max', 'latency at most'],
    ['loss', 'lost'],
  ],
  fairness: [
    ['polite-share', 'worst polite pair got'],
    ['p99', 'polite latency p99'],
    ['greedy-delivered-bits', 'greedy pairs got'],
    ['jain', "greedy Jain's index"],
  ],
  slow: [
    ['stalled', 'stalled receivers'],
    ['cut', 'cut by the relay'],
    ['p99', 'healthy latency p99'],
    ['loss', 'healthy pairs lost'],
  ],
  connections: [
    ['open', 'open at once'],
    ['login-p99', 'login p99'],
    ['ping-p99', 'Ping p99'],
    ['failed', 'failed to open'],
  ],
};
const OF_SERVER: readonly Headline[] = [
  ['server-cpu', 'CPU of the relay'],
  ['server-rss', 'memory of the relay'],
];

/**
 * Returns one HTML page: the verdict, the settings, plots over time, all numbers, and the whole result as JSON. The page
 * loads nothing. Its script (page/load-report) draws the plots from the JSON with uPlot.
 */
export function htmlReport(result: LoadResult, verdicts: readonly Verdict[]): string {
  const { scenario, target } = result.plan;
  const title = `towpath load ${scenario}`;
  // A "<" inside a string may be written as an escape: then no text of the result can end the element.
  const json = jsonReport(result, verdicts).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '${PLOT_FILES.scriptHash}'">
<title>${escapeHtml(`${title} ${target.url}`)}</title>
<style>${PLOT_FILES.style}${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="about">${escapeHtml(target.url)}</p>
<p class="about quiet">${escapeHtml(dateText(result))}, by ${escapeHtml(result.generator.runsOn)}</p>
${verdictBox(result, verdicts)}
${noteBox(notes(result))}
${tiles(result)}
<h2>Settings</h2>
<ul class="settings">
${settingsOf(result.plan).map(item).join('\n')}
</ul>
<h2>Over time</h2>
${result.plan.warmUpMs > 0 ? '<p class="quiet">The grey part is the warm-up: what happens in it is checked, and not timed.</p>' : ''}
<noscript><p class="quiet">The plots need JavaScript. The numbers below do not.</p></noscript>
${plotsOf(result).map(figure).join('\n')}
<h2>Numbers</h2>
${table(result)}
<script type="application/json" id="result">
${json}</script>
<script>${PLOT_FILES.script}</script>
</body>
</html>
`;
}

function dateText({ startedAt }: LoadResult): string {
  return startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
}

function verdictBox({ interrupted }: LoadResult, verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return '';
  const failures = verdicts.filter(({ failed }) => failed).length;
  const [kind, word, count] = failures === 0 ? ['passed', 'Passed', 'none'] : ['failed', 'Failed', String(failures)];
  const early = interrupted ? ' when interrupted' : '';
  const lines = verdicts.map(
    ({ failed, text }) => `<li${failed ? ' class="failed"' : ''}>${failed ? '✗' : '✓'} ${escapeHtml(text)}</li>`,
  );
  return `<div class="box ${kind}">
<b>${word}${early}: ${count} of ${verdicts.length} --fail-if conditions true</b>
<ul>
${lines.join('\n')}
</ul>
</div>`;
}

function noteBox(texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `<div class="box note">\n<b>To know before you compare</b>\n<ul>\n${texts.map(item).join('\n')}\n</ul>\n</div>`;
}

/** Returns the place of a plot, which the script fills, or a sentence when there is nothing to draw. */
function figure(plot: PlotData): string {
  const title = escapeHtml(plot.title);
  if (!isSteady(plot)) return `<figure aria-label="${title}"><figcaption><b>${title}</b></figcaption></figure>`;
  const texts = plot.series.map(({ name, values }) => `${name} ${plot.scale.format(values[0] ?? 0)}`);
  return `<p class="steady"><b>${title}</b> ${escapeHtml(texts.join(', '))}, all the time</p>`;
}

function item(text: string): string {
  return `<li>${escapeHtml(text)}</li>`;
}

function tiles(result: LoadResult): string {
  const { scenario } = result.plan;
  const metrics = new Map(metricsOf(scenario).map((metric) => [metric.name, metric]));
  const parts = [...HEADLINES[scenario], ...OF_SERVER].flatMap(([name, label]) => {
    const metric = metrics.get(name);
    const value = metric?.value(result) ?? null;
    if (metric === undefined || value === null) return [];
    return [`<div><dt>${escapeHtml(label)}</dt><dd>${escapeHtml(formatMetric(value, metric.kind))}</dd></div>`];
  });
  return `<dl class="tiles${parts.length === 4 ? ' four' : ''}">${parts.join('')}</dl>`;
}

function table(result: LoadResult): string {
  const columns = result.classes.length;
  const [first, ...others] = rowsOf(result);
  if (first === undefined) return '';
  const body = columns === 0 ? [first, ...others] : others;
  const rows = body.map((row) => tableRow(row, 'td', columns));
  // The first row names the classes. A single one needs no name.
  const head = columns < 2 ? '' : `<thead>${tableRow(first, 'th', columns)}</thead>\n`;
  return `<table>\n${head}<tbody>\n${rows.join('\n')}\n</tbody>\n</table>`;
}

function tableRow([label, ...texts]: Row, tag: 'th' | 'td', columns: number): string {
  // A row about all classes together has one cell.
  const span = texts.length < columns ? ` colspan="${columns}"` : '';
  const cells = texts.map((text) => `<${tag}${span}>${escapeHtml(text)}</${tag}>`);
  return `<tr><th scope="row">${escapeHtml(label)}</th>${cells.join('')}</tr>`;
}
