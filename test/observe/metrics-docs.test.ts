import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DOCUMENT, metricsDocs } from '../../scripts/generate-metrics-docs.ts';

const onBun =
  'Bun' in globalThis ? 'Bun does not measure the utilization of the event loop, which the page has' : false;

test('docs/metrics.md is what the relay shows', { skip: onBun }, async () => {
  assert.equal(await metricsDocs(), readFileSync(DOCUMENT, 'utf8'), 'run "npm run docs:metrics"');
});
