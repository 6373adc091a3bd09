import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

const REPOSITORY = join(import.meta.dirname, '..');
const CITING = ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts', 'test/interop/**/*.go', 'docs/*.md'];
/** A section number with the text before it, because other documents have sections too. */
const CITATION = /(\bRFC \d+,? |\bpeer[- ]relay (?:reference )?)?§(\d+(?:\.\d+)*)/g;
/** A word at the end of a line belongs to the citation on the next line. */
const LINE_BREAK = /\n *(?:\*|\/\/)? */g;

/** Files that cite the reference of the peer relay without its name. */
const OF_PEER_RELAY = /^(?:src|test)\/tailnet\//;

/** The cited pages, and their parts that are numbered lists of statements. */
const PAGES = [
  { file: 'derp.md', lists: { 9: /^(\d+)\. /gm, 11: /^(\d+)\. \*\*/gm } },
  { file: 'peer-relay.md', lists: { 18: /^(\d+)\. /gm, 19: /^(\d+)\. /gm } },
] as const;
type Page = (typeof PAGES)[number];

const textOf = ({ file }: Page): string => readFileSync(join(REPOSITORY, 'docs', 'reference', file), 'utf8');

/** Returns the numbers of all headings, and of all statements as `9.N`. */
function sectionsOf(page: Page): Set<string> {
  const text = textOf(page);
  const sections = new Set([...text.matchAll(/^#{2,3} (\d+(?:\.\d+)?)[. ]/gm)].map((match) => match[1]!));
  for (const [part, lines] of Object.entries(page.lists)) {
    const from = text.indexOf(`\n## ${part}. `);
    const to = text.indexOf('\n## ', from + 1);
    for (const match of text.slice(from, to).matchAll(lines)) sections.add(`${part}.${match[1]!}`);
  }
  return sections;
}

/** The citations in all files, with the page of each. */
const cited = globSync(CITING, { cwd: REPOSITORY }).flatMap((file) =>
  [...readFileSync(join(REPOSITORY, file), 'utf8').replaceAll(LINE_BREAK, ' ').matchAll(CITATION)]
    .filter(([, elsewhere]) => elsewhere?.startsWith('RFC') !== true)
    .map(([, elsewhere, section]) => ({
      file,
      page: elsewhere !== undefined || OF_PEER_RELAY.test(file) ? 'peer-relay.md' : 'derp.md',
      section: section!,
    })),
);

suite('the conformance checklist of the peer relay', () => {
  test('each statement has a test that names it', () => {
    const statements = [...sectionsOf(PAGES[1])].filter((section) => section.startsWith('19.'));
    assert.equal(statements.length, 27);
    const tested = new Set(
      cited
        .filter(({ file, page }) => file.startsWith('test/') && page === 'peer-relay.md')
        .map(({ section }) => section),
    );
    assert.deepEqual(
      statements.filter((section) => !tested.has(section)),
      [],
    );
  });
});

for (const page of PAGES) {
  suite(`citations of docs/reference/${page.file}`, () => {
    const sections = sectionsOf(page);

    test('each names a section that exists', () => {
      const ofPage = cited.filter((citation) => citation.page === page.file);
      assert.ok(ofPage.length > 10, 'the search finds citations');
      assert.deepEqual(
        ofPage.filter(({ section }) => !sections.has(section)),
        [],
      );
    });

    test('the page cites only sections that it has', () => {
      const own = [...textOf(page).matchAll(CITATION)].map((match) => match[2]!);
      assert.deepEqual(
        own.filter((section) => !sections.has(section)),
        [],
      );
    });
  });
}
