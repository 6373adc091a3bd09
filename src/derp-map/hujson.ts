import { createScanner, printParseErrorCode, visit } from 'jsonc-parser';
import { TowpathError } from '../base/errors.ts';

/** Deeper than any map or policy, and far from where a recursive parser runs out of stack. */
const MAX_DEPTH = 256;

/** An array or an object that is not at its end yet. */
type Open = { readonly items: unknown[] } | { readonly entries: Map<string, unknown>; name: string };

/**
 * Parses HuJSON, the format of tailnet policies: JSON with `//` and block comments anywhere between its parts, and with
 * commas after the last element. The time is linear. Throws `TOWPATH_HUJSON` with line and column for a syntax error,
 * and for a key that occurs twice in one object: programs differ in which of the two they take.
 */
export function parseHuJson(text: string): unknown {
  const open: Open[] = [];
  let root: unknown;
  const add = (value: unknown): void => {
    const parent = open.at(-1);
    if (parent === undefined) root = value;
    else if ('items' in parent) parent.items.push(value);
    else parent.entries.set(parent.name, value);
  };
  const begin = (container: Open, line: number, character: number): void => {
    if (open.length === MAX_DEPTH) throw invalid(line, character, `it is nested more than ${MAX_DEPTH} deep`);
    open.push(container);
  };
  visit(
    text,
    {
      onObjectBegin: (_offset, _length, line, character) =>
        begin({ entries: new Map<string, unknown>(), name: '' }, line, character),
      onArrayBegin: (_offset, _length, line, character) => begin({ items: [] }, line, character),
      onObjectProperty(name, _offset, _length, line, character) {
        const parent = open.at(-1);
        if (parent === undefined || !('entries' in parent)) return;
        if (parent.entries.has(name)) throw invalid(line, character, `the key ${JSON.stringify(name)} is there twice`);
        parent.name = name;
      },
      onObjectEnd() {
        const ended = open.pop();
        if (ended !== undefined && 'entries' in ended) add(Object.fromEntries(ended.entries));
      },
      onArrayEnd() {
        const ended = open.pop();
        if (ended !== undefined && 'items' in ended) add(ended.items);
      },
      onLiteralValue: add,
      onComment(offset, length, line, character) {
        // Other parsers end the comment at the line feed: the text before it is a comment for them, and a value here.
        const isCut = text[offset + length] === '\r' && text[offset + length + 1] !== '\n' && text[offset + 1] === '/';
        if (isCut) throw invalid(line, character, 'a carriage return alone does not end a comment');
      },
      onError(code, _offset, _length, line, character) {
        throw invalid(line, character, wordsOf(printParseErrorCode(code)));
      },
    },
    { allowTrailingComma: true },
  );
  return root;
}

/**
 * Returns how a text begins, without comments: as a JSON value, as the inside of an object (`"key": {`, which
 * `towpath derp-map` prints for a policy), or as neither of them.
 */
export function huJsonStart(text: string): 'value' | 'members' | null {
  const scanner = createScanner(text, true);
  const token = (): string => {
    scanner.scan();
    return text.slice(scanner.getTokenOffset(), scanner.getTokenOffset() + 1);
  };
  const [first, second, third] = [token(), token(), token()];
  // In YAML an object may begin with a bare name.
  if (first === '{') return second === '"' || second === '}' ? 'value' : null;
  return first === '"' && second === ':' && third === '{' ? 'members' : null;
}

function invalid(line: number, character: number, what: string): TowpathError {
  return new TowpathError('TOWPATH_HUJSON', `line ${line + 1}, column ${character + 1}: ${what}`);
}

/** `CommaExpected` becomes "comma expected". */
function wordsOf(code: string): string {
  return code.replaceAll(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).toLowerCase();
}
