import { printable, printableJson } from '../../base/printable.ts';
import { wrapWords } from '../../base/terminal-text.ts';
import type { StepName, StepResult, StepStatus } from './step.ts';
import type { ProbeTarget } from './target.ts';

const MARKS: Record<StepStatus, string> = { ok: '✓', warning: '!', failed: '✗', skipped: '–' };
export const LABELS: Readonly<Record<StepName, string>> = {
  dns: 'DNS',
  'tcp-ipv4': 'TCP over IPv4',
  'tcp-ipv6': 'TCP over IPv6',
  tls: 'TLS',
  upgrade: 'Login',
  websocket: 'Login by WebSocket',
  packets: 'Packets',
  'stun-ipv4': 'STUN over IPv4',
  'stun-ipv6': 'STUN over IPv6',
  'generate-204': 'Captive portal check',
};
const LABEL_COLUMNS = 20;
const TIME_COLUMNS = 10;
const FIX_START = '      → ';

/** The line above the steps of one relay. */
export function heading(target: ProbeTarget): string {
  return `${printable(`${target.name}  ${target.relay?.url ?? `${target.host} (STUN only)`}`)}\n`;
}

/** The lines of one step of a probe, for a terminal with `columns` columns. */
export function probeLines(result: StepResult, columns?: number): string {
  return stepLines(result, LABELS[result.step], columns);
}

/**
 * The lines of one step under a label, wrapped at words for a terminal with `columns` columns. The text may contain
 * text of a peer or a map, so it is escaped.
 */
export function stepLines({ status, ms, text, fix }: StepResult<string>, label: string, columns?: number): string {
  const time = ms === null ? '' : `${ms.toFixed(1)} ms`;
  const start = `  ${MARKS[status]} ${label.padEnd(LABEL_COLUMNS)} ${time.padStart(TIME_COLUMNS)}  `;
  const line = `${start}${wrapWords(printable(text).replace(/\.$/, ''), columns, start.length)}\n`;
  return fix === null ? line : `${line}${FIX_START}${wrapWords(printable(fix), columns, FIX_START.length)}\n`;
}

/** The result for one relay. */
export interface TargetReport {
  readonly target: ProbeTarget;
  readonly steps: readonly StepResult[];
}

/** True when no step failed. */
export function isGood(report: TargetReport): boolean {
  return report.steps.every(({ status }) => status !== 'failed');
}

/** The last line of the report. */
export function summary(reports: readonly TargetReport[]): string {
  const bad = reports.filter((report) => !isGood(report)).map(({ target }) => target.name);
  const warnings = reports.flatMap(({ steps }) => steps.filter(({ status }) => status === 'warning')).length;
  if (bad.length > 0) return `Not good: ${printable(bad.join(', '))}\n`;
  return warnings === 0 ? 'All good\n' : `Good, with ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}\n`;
}

/** The whole report for programs. */
export function reportJson(reports: readonly TargetReport[]): string {
  const relays = reports.map((report) => ({
    name: report.target.name,
    url: report.target.relay?.url ?? null,
    ok: isGood(report),
    steps: report.steps,
  }));
  return printableJson({ ok: reports.every(isGood), relays });
}
