import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DASHBOARD, dashboardJson } from '../../scripts/generate-dashboard.ts';
import { DOCUMENT } from '../../scripts/generate-metrics-docs.ts';

const METRIC = /\btowpath_\w+/g;
const RULES = new URL('../../deploy/prometheus/towpath-rules.yaml', import.meta.url);

test('the dashboard is what its script makes', () => {
  assert.equal(dashboardJson(), readFileSync(DASHBOARD, 'utf8'), 'run "npm run docs:dashboard"');
});

for (const file of [DASHBOARD, RULES]) {
  test(`${file.pathname.split('/').at(-1)} asks for metrics that exist`, () => {
    const known = new Set(readFileSync(DOCUMENT, 'utf8').match(METRIC));
    const asked = new Set(readFileSync(file, 'utf8').match(METRIC));
    assert.ok(asked.size > 5);
    assert.deepEqual(
      [...asked].filter((name) => !known.has(name)),
      [],
    );
  });
}
