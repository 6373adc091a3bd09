/**
 * Gives all metrics to `promtool check metrics` (Debian package `prometheus`), which knows Prometheus's rules for names
 * and help, and lets it test the alerts of deploy/prometheus. Exit code 1: promtool reports an error. 2: promtool
 * is not installed.
 */
import { spawnSync } from 'node:child_process';
import { Counters } from '../src/observe/counters.ts';
import { Health } from '../src/observe/health.ts';
import { createMetrics } from '../src/observe/metrics.ts';

const PROMTOOL = 'promtool';
const registry = createMetrics({
  counters: new Counters(),
  version: '0.0.0',
  runtime: `node ${process.versions.node}`,
  health: new Health(),
  certificateExpiry: () => Date.now(),
  bootstrapDnsQueriedNames: () => 0,
});
const deployed = (file: string): string => new URL(`../deploy/prometheus/${file}`, import.meta.url).pathname;
promtool('all metrics', ['check', 'metrics'], await registry.metrics());
promtool('the scrape example', ['check', 'config', deployed('prometheus.yaml')]);
promtool('the alerts and their tests', ['test', 'rules', deployed('towpath-rules.test.yaml')]);

/** Runs one check; `what` is its name in the output. */
function promtool(what: string, args: readonly string[], input = ''): void {
  const result = spawnSync(PROMTOOL, args, { input, encoding: 'utf8' });
  if (result.error !== undefined) {
    console.error(`promtool cannot be run: ${result.error.message}. Install the package prometheus.`);
    process.exit(2);
  }
  if (result.status === 0 && result.stderr.trim() === '') {
    console.log(`promtool accepts ${what}`);
  } else {
    console.error(`${result.stdout}${result.stderr}`.trim());
    process.exitCode = 1;
  }
}
