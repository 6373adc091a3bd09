import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

const REPOSITORY = join(import.meta.dirname, '..');
const CITING = ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts', 'test/interop/**/*.go', 'docs/*.md'];
/** A section number with what stands before it: other documents have sections of their own. */
const CITATION = /(\bRFC \d+,? |\bpeer[- ]relay (?:reference )?)?§(\d+(?:\.\d+)*)/g;
/** A word at the end of a line belongs to the citation on the next line. */
const LINE_BREAK = /\n *(?:\*|\/\/)? */g;

/** Files that are about the peer relay alone cite it without its name. */
const OF_PEER_RELAY = /^(?:src|test)\/tailnet\//;

/** The pages that are cited, and the parts of each that are numbered lists of statements. */
const PAGES = [
  { file: 'derp.md', lists: { 9: /^(\d+)\. /gm, 11: /^(\d+)\. \*\*/gm } },
  { file: 'peer-relay.md', lists: { 18: /^(\d+)\. /gm, 19: /^(\d+)\. /gm } },
] as const;
type Page = (typeof PAGES)[number];

const textOf = ({ file }: Page): string => readFileSync(join(REPOSITORY, 'docs', 'reference', file), 'utf8');

/** Numbers of all headings, and of the statements of section 9 as `9.N`. */
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

/** What all files cite, with the page that it is on. */
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
