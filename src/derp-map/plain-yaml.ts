import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type ParsedNode } from 'yaml';
import { errorMessage, TowpathError } from '../base/errors.ts';

/** Headscale's maps are a few KiB. The library takes up to 15 µs for an invalid character. */
const MAX_CHARACTERS = 524_288;
/** Most aliases. A map of relays needs few, and each costs a pass over the whole document. */
const MAX_ALIASES = 100;

/**
 * Parses YAML of mappings with scalar keys, lists and scalars. Throws `TOWPATH_YAML` with the line for anything else,
 * and for a key that occurs twice in one mapping. The library's own conversion takes time that is exponential in the
 * depth of mappings used as keys, and its own check for duplicate keys is quadratic.
 */
export function parsePlainYaml(text: string): unknown {
  if (text.length > MAX_CHARACTERS) {
    throw new TowpathError('TOWPATH_YAML', `it is longer than ${MAX_CHARACTERS} characters, the limit for YAML`);
  }
  const lines = new LineCounter();
  const document = parsed(text, lines);
  const [error] = document.errors;
  if (error !== undefined) throw invalid(lines.linePos(error.pos[0]).line, errorMessage(error));
  return new Conversion(document, lines).value(document.contents);
}

function parsed(text: string, lines: LineCounter): Document.Parsed {
  try {
    return parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: 'error' });
  } catch (error) {
    // The parser is recursive: too deep nesting overflows its stack.
    throw new TowpathError('TOWPATH_YAML', `it is not valid YAML: ${errorMessage(error)}`, { cause: error });
  }
}

class Conversion {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  #aliases = 0;

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  value(node: ParsedNode | null): unknown {
    if (node === null) return null;
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => this.value(item));
    if (isAlias(node)) {
      if (++this.#aliases > MAX_ALIASES) throw this.#invalid(node, `there are more than ${MAX_ALIASES} aliases`);
      const meant = node.resolve(this.#document) as ParsedNode | undefined;
      if (meant === undefined || !isScalar(meant))
        throw this.#invalid(node, 'aliases of lists and mappings are not supported');
      return meant.value;
    }
    if (!isMap(node)) throw this.#invalid(node, 'this is neither a mapping, a list nor a scalar');
    const entries = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      if (!isScalar(key)) throw this.#invalid(key, 'a key must be a scalar');
      const name = String(key.value);
      if (entries.has(name)) throw this.#invalid(key, `the key ${JSON.stringify(name)} is there twice`);
      entries.set(name, this.value(value));
    }
    return Object.fromEntries(entries);
  }

  #invalid(node: ParsedNode, what: string): TowpathError {
    return invalid(this.#lines.linePos(node.range[0]).line, what);
  }
}

function invalid(line: number, what: string): TowpathError {
  return new TowpathError('TOWPATH_YAML', `line ${line}: ${what}`);
}
