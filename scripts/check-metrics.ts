/**
 * Gives all metrics to `promtool check metrics` (Debian package `prometheus`), which knows Prometheus's rules for names
 * and help. Ends with 1 when it objects to anything, and with 2 when it is not installed.
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
const result = spawnSync(PROMTOOL, ['check', 'metrics'], { input: await registry.metrics(), encoding: 'utf8' });
if (result.error !== undefined) {
  console.error(`promtool cannot be run: ${result.error.message}. Install the package prometheus.`);
  process.exitCode = 2;
} else {
  const complaints = `${result.stdout}${result.stderr}`.trim();
  if (complaints !== '') console.error(complaints);
  process.exitCode = complaints === '' && result.status === 0 ? 0 : 1;
  if (process.exitCode === 0) console.log('promtool accepts all metrics');
}
