import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';

const TEXT = readFileSync(path.resolve(import.meta.dirname, '../../deploy/deb/towpath.yaml'), 'utf8');

/** Paragraphs with a choice behind one `#`, as a person would remove it. */
const CHOICES = TEXT.split('\n\n')
  .map((paragraph) => paragraph.split('\n').filter((line) => /^#[^#]/.test(line)))
  .filter((lines) => lines.length > 0)
  .map((lines) => lines.map((line) => line.slice(1)).join('\n'));

test('the configuration of the package is closed as it stands, and right with each of its choices', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-choices-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const load = (text: string): ReturnType<typeof loadConfig> => {
    const file = path.join(folder, 'towpath.yaml');
    writeFileSync(file, text);
    return loadConfig({ file });
  };
  const { config } = load(TEXT);
  assert.deepEqual(
    config.admission.sources.map(({ kind }) => kind),
    ['keys'],
  );
  assert.ok(CHOICES.length > 10, `${CHOICES.length} choices`);
  for (const choice of CHOICES) assert.doesNotThrow(() => load(`${choice}\n`), choice);
});
