import type { LineCounter, YAMLError } from 'yaml';
import { configKeys } from './keys.ts';
import type { Problem } from './problems.ts';
import { withoutSecrets } from './secret-text.ts';

/** Most errors that are shown. One mistake causes many errors of the parser, and the first ones show its place. */
const SHOWN_ERRORS = 3;
const EXCERPT_CHARACTERS = 76;
/** Columns before the mark that stay in the excerpt of a long line. */
const EXCERPT_BEFORE = 40;
const KEY = /^(\s*(?:- +)*["']?([\w.-]+)["']?\s*:)/;
/** Two keys on one line: the name of the second may be mistyped. */
const SECOND_KEY = /:\s+\S{8}/;
const INDENT = /^\s*/;

/** Explains the parser's errors to the author of the file. */
const TEXTS: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  TAB_AS_INDENT: 'a tab is used to indent; YAML allows only spaces',
  BAD_INDENT: 'this line is not indented like the other lines of its section',
  MISSING_CHAR: 'a comma, a colon or a closing bracket is missing here',
  BLOCK_AS_IMPLICIT_KEY: 'two "key: value" on one line; a text that contains ": " needs quotation marks',
  MULTILINE_IMPLICIT_KEY: 'the ":" behind the key is missing',
  UNEXPECTED_TOKEN: 'this cannot stand here; a text with special characters needs quotation marks',
  BAD_ALIAS: 'a text that starts with * needs quotation marks',
  BAD_SCALAR_START: 'a text that starts with @, %, ` or another special character needs quotation marks',
  BAD_DQ_ESCAPE: String.raw`in double quotation marks, write \\ for a backslash, or use single quotation marks`,
  BLOCK_IN_FLOW: 'a list with "- " cannot stand between brackets',
  MULTIPLE_DOCS: 'the file has a second document after "---"; only one is allowed',
  RESOURCE_EXHAUSTION: 'brackets or sections are nested too deeply',
  KEY_OVER_1024_CHARS: 'the key is longer than 1024 characters; is a quotation mark missing?',
};
const MARKS = 'anchors (&), tags (!) and directives (%) cannot stand here; a text that starts so needs quotation marks';
const MARK_CODES: ReadonlySet<string> = new Set([
  'ALIAS_PROPS',
  'BAD_DIRECTIVE',
  'BAD_PROP_ORDER',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_TAGS',
  'TAG_RESOLVE_FAILED',
  'BAD_COLLECTION_TYPE',
]);

/** Returns the parser's errors as problems of the configuration, one for each line, with the line. */
export function syntaxProblems(
  errors: readonly YAMLError[],
  content: string,
  lines: LineCounter,
  file: string,
): Problem[] {
  const problems = new Map<number, Problem>();
  for (const error of errors) {
    const { line, col } = lines.linePos(Math.min(error.pos[0], Math.max(content.length - 1, 0)));
    if (problems.has(line) || problems.size === SHOWN_ERRORS) continue;
    const text = content.slice(lines.lineStarts[line - 1], lines.lineStarts[line]).split(/\r?\n/, 1)[0]!;
    const origin = { kind: 'file', file, line, column: col } as const;
    problems.set(line, { origin, path: '', text: textOf(error), excerpt: excerptOf(text, col - 1) });
  }
  return [...problems.values()];
}

function textOf({ code, message }: YAMLError): string {
  if (MARK_CODES.has(code)) return MARKS;
  if (code === 'MISSING_CHAR' && message.includes('quote')) {
    return 'the quotation mark at the end of a text is missing; the text begins before this place';
  }
  if (code === 'BAD_INDENT' && message.startsWith('Flow')) {
    return 'a list in [ ] or a mapping in { } is not closed before this place, or its lines are not indented enough';
  }
  return TEXTS[code] ?? 'this is not valid YAML';
}

/** Returns the line with a mark below the place, without possible secrets. */
function excerptOf(line: string, at: number): string[] {
  const before = shown(line, line.slice(0, at));
  const all = shown(line, line);
  const from = before.length > EXCERPT_CHARACTERS - 1 ? before.length - EXCERPT_BEFORE : 0;
  const start = from === 0 ? '' : '…';
  const cut = all.slice(from, from + EXCERPT_CHARACTERS);
  if (cut.trim() === '') return [];
  return [`${start}${cut}`, `${' '.repeat(start.length + before.length - from)}^`];
}

/**
 * Returns the beginning `part` of `line` in a form that may be printed: values of keys without secrets, and only the
 * punctuation of all other values, with their words shortened to `…`.
 */
function shown(line: string, part: string): string {
  const [, head, name] = KEY.exec(line) ?? [];
  const visible = part.replaceAll('\t', '→');
  if (head === undefined || name === undefined || !KNOWN_NAMES.has(name))
    return masked(visible, INDENT.exec(visible)?.[0].length ?? 0);
  if (PLAIN_KEYS.has(name) && !SECOND_KEY.test(line.slice(head.length)) && withoutSecrets(line) === line)
    return visible;
  return masked(visible, head.length);
}

function masked(text: string, from: number): string {
  return text.slice(0, from) + text.slice(from).replaceAll(/[^\s[\]{},:"'|>&*!%@#→]+/g, '…');
}

/** All words of the paths of keys. Another word may be a secret in the wrong place. */
const KNOWN_NAMES: ReadonlySet<string> = new Set([...configKeys.keys()].flatMap((path) => path.split('.')));
/** Last names of keys whose values are neither secret nor lists of entries that may hold secrets. */
const PLAIN_KEYS: ReadonlySet<string> = new Set(
  [...configKeys.values()]
    .filter((key) => !key.secret && key.kind !== 'json')
    .map((key) => key.path.split('.').at(-1)!),
);
