import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

const REPOSITORY = join(import.meta.dirname, '..');
const REFERENCE = readFileSync(join(REPOSITORY, 'docs', 'reference', 'derp.md'), 'utf8');
const CITING = ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts', 'test/interop/**/*.go', 'docs/*.md'];
/** A section number with what stands before it: other documents have sections of their own. */
const CITATION = /(\bRFC \d+,? )?§(\d+(?:\.\d+)*)/g;

/** Numbers of all headings, and of the statements of §9 as `9.N`. */
function sectionsOf(text: string): Set<string> {
  const sections = new Set([...text.matchAll(/^#{2,3} (\d+(?:\.\d+)?)[. ]/gm)].map((match) => match[1]!));
  for (const [part, lines] of [
    ['9', /^(\d+)\. /gm],
    ['11', /^(\d+)\. \*\*/gm],
  ] as const) {
    const from = text.indexOf(`\n## ${part}. `);
    const to = text.indexOf('\n## ', from + 1);
    for (const match of text.slice(from, to).matchAll(lines)) sections.add(`${part}.${match[1]!}`);
  }
  return sections;
}

suite('citations of the protocol reference', () => {
  test('each names a section of docs/reference/derp.md', () => {
    const sections = sectionsOf(REFERENCE);
    const cited = globSync(CITING, { cwd: REPOSITORY }).flatMap((file) =>
      [...readFileSync(join(REPOSITORY, file), 'utf8').matchAll(CITATION)]
        .filter(([, elsewhere]) => elsewhere === undefined)
        .map(([, , section]) => ({ file, section: section! })),
    );
    assert.ok(cited.length > 100, 'the search finds citations');
    const lost = cited.filter(({ section }) => !sections.has(section));
    assert.deepEqual(lost, []);
  });

  test('the reference cites only sections that it has', () => {
    const sections = sectionsOf(REFERENCE);
    const cited = [...REFERENCE.matchAll(CITATION)].map((match) => match[2]!);
    assert.deepEqual(
      cited.filter((section) => !sections.has(section)),
      [],
    );
  });
});
