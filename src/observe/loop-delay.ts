import { createHistogram } from 'node:perf_hooks';
import type { MetricDefinition } from './metrics.ts';

const NS_PER_MS = 1_000_000;
const NS_PER_SECOND = 1_000_000_000;

/**
 * Measures how late the ticks of the clock are: the time for which other work blocked the event loop. The runtime's own
 * monitor would wake an idle process a hundred times a second.
 */
export class LoopDelay {
  readonly #histogram = createHistogram();

  /** To be called at each tick with how late it came, in milliseconds. */
  tick(lateMs: number): void {
    this.#histogram.record(Math.max(1, Math.round(lateMs * NS_PER_MS)));
  }

  /** Gauges in seconds, under the names that Node's exporters use; each scrape begins a new period. */
  metrics(): MetricDefinition[] {
    const histogram = this.#histogram;
    const seconds = (ns: number): number => (histogram.count === 0 ? 0 : ns / NS_PER_SECOND);
    return [
      gauge('mean', 'Mean delay of the event loop since the last scrape.', () => seconds(histogram.mean)),
      gauge('p50', 'Median delay of the event loop since the last scrape.', () => seconds(histogram.percentile(50))),
      gauge('p99', '99th percentile of the event loop delay since the last scrape.', () =>
        seconds(histogram.percentile(99)),
      ),
      // The last one to be read.
      gauge('max', 'Longest delay of the event loop since the last scrape.', () => {
        const longest = seconds(histogram.max);
        histogram.reset();
        return longest;
      }),
    ];
  }
}

function gauge(name: string, help: string, read: () => number): MetricDefinition {
  return { name: `nodejs_eventloop_lag_${name}_seconds`, help, type: 'gauge', labels: [], read: () => [[{}, read()]] };
}
