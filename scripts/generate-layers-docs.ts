/** Writes the table of folders in docs/architecture.md from the rules of .dependency-cruiser.cjs: `npm run docs:layers`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { format, resolveConfig } from 'prettier';

/** The file that holds the table; a test compares. */
export const DOCUMENT: URL = new URL('../docs/architecture.md', import.meta.url);
const BEGIN = '<!-- folders: made by "npm run docs:layers" from .dependency-cruiser.cjs -->\n';
const END = '<!-- end of folders -->\n';
const RULE = 'folder-';

interface Rule {
  readonly name: string;
  readonly comment?: string;
  readonly to: { readonly pathNot?: readonly string[] };
}

/** The text of docs/architecture.md with a table that says what the rules say. */
export async function architectureDocs(): Promise<string> {
  const text = readFileSync(DOCUMENT, 'utf8');
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/architecture.md has lost its mark ${BEGIN}`);
  const made = `${text.slice(0, begin)}${BEGIN}\n${table()}\n\n${text.slice(end)}`;
  return format(made, { ...(await resolveConfig(DOCUMENT)), parser: 'markdown' });
}

function table(): string {
  const rows = rules()
    .filter(({ name }) => name.startsWith(RULE))
    .map(({ name, comment = '', to: { pathNot = [] } }) => {
      const [, ...imports] = pathNot.map(folderOf);
      const [what = '', first] = comment.split(' | ');
      const file = first === undefined ? '' : `\`${first}\``;
      return `| \`${name.slice(RULE.length)}\` | ${what} | ${file} | ${imports.join(', ') || 'nothing'} |`;
    });
  return ['| folder | what is in it | read first | may import |', '|---|---|---|---|', ...rows].join('\n');
}

function rules(): readonly Rule[] {
  const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
    readonly forbidden: readonly Rule[];
  };
  return config.forbidden;
}

/** The name of a folder in the pattern for its files: `^src/NAME(/|\.ts$)`. */
function folderOf(pattern: string): string {
  return pattern.slice('^src/'.length, pattern.indexOf('('));
}

if (import.meta.main) writeFileSync(DOCUMENT, await architectureDocs());
