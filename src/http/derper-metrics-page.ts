import type { Counters } from '../observe/counters.ts';
import { derperMetrics, derperMetricsText } from '../observe/derper-metrics.ts';
import type { AdminPage } from './admin.ts';

/** Returns the page `/debug/varz`: the counts under the names of Go derper. */
export function derperMetricsPage(counters: Counters): AdminPage {
  return {
    help: 'The same counts under the names of Go derper',
    text: () => derperMetricsText(counters),
    json: () =>
      Object.fromEntries(
        derperMetrics(counters).flatMap(({ name, samples }) =>
          samples.map(([labels, value]) => [labels === '' ? name : `${name}{${labels}}`, value]),
        ),
      ),
  };
}
