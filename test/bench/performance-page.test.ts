import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PAGE, renderedPage } from '../../bench/relay/page.ts';

test('the tables of docs/performance.md are those of the results that are kept, none typed by hand', async () => {
  const isFresh = (await renderedPage([])) === readFileSync(PAGE, 'utf8');
  assert.ok(isFresh, 'run `npm run bench:report`');
});
