import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DOCUMENT, refusalDocs } from '../../scripts/generate-refusal-docs.ts';
import { REFUSAL_HELP } from '../../src/observe/refusal-help.ts';

test('docs/refusals.md explains each reason under its name, as the status page does', async () => {
  const text = readFileSync(DOCUMENT, 'utf8');
  assert.equal(await refusalDocs(), text, 'run "npm run docs:refusals"');
  const headings = new Set([...text.matchAll(/^## `(\w+)`$/gm)].map(([, reason]) => reason));
  assert.deepEqual([...headings], Object.keys(REFUSAL_HELP));
});
