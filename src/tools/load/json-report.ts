import { printableJson } from '../../base/printable.ts';
import type { Verdict } from './fail-if.ts';
import { metricsOf } from './metrics.ts';
import { notes } from './summary.ts';
import type { LoadResult } from './result.ts';

/**
 * Returns the whole result as JSON, for programs. Shares are parts of 1, times are in milliseconds, `metrics` has the
 * values that conditions can use.
 */
export function jsonReport(result: LoadResult, verdicts: readonly Verdict[]): string {
  const { plan, ...rest } = result;
  const { scenario, target, groups, stalled, connections, workers, coalesce, durationMs, warmUpMs } = plan;
  const report = {
    ok: !verdicts.some(({ failed }) => failed),
    scenario,
    relay: { name: target.name, url: target.url, websocket: target.websocket },
    plan: { groups, stalled, connections, workers, coalesce, durationMs, warmUpMs },
    metrics: Object.fromEntries(metricsOf(scenario).map((metric) => [metric.name, metric.value(result)])),
    conditions: verdicts.map(({ condition, value, failed }) => ({ condition, value, failed })),
    notes: notes(result),
    ...rest,
  };
  return printableJson(report);
}
