import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type ParsedNode } from 'yaml';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { readSmallFile, readSmallPipe } from '../base/file-stamp.ts';
import { configKeys, configTree, type ConfigKey, type ConfigSection } from './keys.ts';
import { nearest } from './nearest.ts';
import type { Origin } from './origin.ts';
import { describeFound, type Problem } from './problems.ts';
import { nameWithoutSecrets } from './secret-text.ts';
import type { Setting } from './setting.ts';
import { syntaxProblems } from './yaml-syntax.ts';
import { nameOf, YamlValueError, YamlValues } from './yaml-value.ts';

/** The settings and problems of one layer of the configuration. */
export interface Layer {
  readonly settings: readonly Setting[];
  readonly problems: readonly Problem[];
}

/** Real configurations have a few KiB. The library takes up to 15 µs for an invalid character. */
const MAX_CHARACTERS = 524_288;
const MAX_BYTES = 1_048_576;
/** Paths of `<(…)` and of the standard input: pipes that are read once, at the start. */
const OWN_DESCRIPTOR = /^\/(?:dev\/(?:fd\/\d+|stdin)|proc\/self\/fd\/\d+)$/;

/** Reads a YAML or JSON file. Throws `TOWPATH_CONFIG_FILE` when it cannot be read. */
export function readConfigFile(file: string): Layer {
  let content: string;
  try {
    content = OWN_DESCRIPTOR.test(file) ? readSmallPipe(file, MAX_BYTES) : readSmallFile(file, MAX_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_CONFIG_FILE', `cannot read the configuration file: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return parseConfigText(content, file);
}

/** Reads the values of a program instead of a file; messages call them `from`. */
export function readConfigValues(values: object, from = 'options'): Layer {
  return parseConfigText(JSON.stringify(values, null, 1), from);
}

/** Reads YAML or JSON text; `file` is only a name for messages. */
function parseConfigText(content: string, file: string): Layer {
  if (content.length > MAX_CHARACTERS) {
    const text = `it is longer than the ${MAX_CHARACTERS} characters that a configuration may have`;
    return { settings: [], problems: [{ origin: { kind: 'file', file, line: 1 }, path: '', text }] };
  }
  const lines = new LineCounter();
  // The library's own check for repeated keys takes quadratic time.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: 'error' } as const;
  const document = parseDocument(content, options);
  if (document.errors.length > 0) {
    return { settings: [], problems: syntaxProblems(document.errors, content, lines, file) };
  }
  return new FileReader(document, lines, file).read();
}

/** Turns the nodes of one document into settings; keeps the line of each. */
class FileReader {
  readonly #document: Document.Parsed;
  readonly #values: YamlValues;
  readonly #lines: LineCounter;
  readonly #file: string;
  readonly #settings: Setting[] = [];
  readonly #problems: Problem[] = [];

  constructor(document: Document.Parsed, lines: LineCounter, file: string) {
    this.#document = document;
    this.#values = new YamlValues(document);
    this.#lines = lines;
    this.#file = file;
  }

  read(): Layer {
    this.#noting(() => {
      const root = this.#values.target(this.#document.contents);
      if (root !== null) this.#readSection(configTree, root, this.#origin(root));
    });
    return { settings: this.#settings, problems: this.#problems };
  }

  #readSection(section: ConfigSection, node: ParsedNode, origin: Origin): void {
    if (isScalar(node) && node.value === null) return;
    if (!isMap(node)) {
      if (section.shorthand !== undefined) this.#readKey(section.shorthand, node, origin);
      else this.#refuseSection(section, node, origin);
      return;
    }
    const names = new Set<string>();
    for (const pair of node.items) {
      this.#noting(() => {
        const name = nameOf(pair.key);
        if (names.has(name))
          throw new YamlValueError(pair.key, `the key ${JSON.stringify(nameWithoutSecrets(name))} is there twice`);
        names.add(name);
        this.#readEntry(section, name, this.#values.target(pair.value), this.#origin(pair.key));
      });
    }
  }

  #readEntry(section: ConfigSection, name: string, value: ParsedNode | null, place: Origin): void {
    const entry = section.entries.get(name);
    if (entry === undefined) this.#refuseName(section, name, place);
    else if (entry.type === 'key') this.#readKey(entry, value, place);
    else if (value !== null) this.#readSection(entry, value, place);
  }

  /** Runs `read`, and turns its YamlValueErrors into problems. */
  #noting(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof YamlValueError)) throw error;
      this.#problems.push({ origin: this.#origin(error.node), path: '', text: error.message });
    }
  }

  #readKey(key: ConfigKey, node: ParsedNode | null, origin: Origin): void {
    const value = this.#values.value(node);
    if (value === null) {
      this.#problems.push({ origin, path: key.path, text: `found nothing; allowed: ${key.allowed}` });
      return;
    }
    const entryLines = isSeq(node) ? node.items.map((item) => this.#line(item)) : undefined;
    this.#settings.push({ key, value, origin, ...(entryLines === undefined ? {} : { entryLines }) });
  }

  #refuseSection(section: ConfigSection, node: ParsedNode, origin: Origin): void {
    const text = `found ${describeFound(this.#values.value(node))}; allowed: a mapping with the keys ${[...section.entries.keys()].join(', ')}`;
    this.#problems.push({ origin, path: section.path, text });
  }

  #refuseName(section: ConfigSection, name: string, origin: Origin): void {
    const shown = nameWithoutSecrets(name);
    const path = section.path === '' ? shown : `${section.path}.${shown}`;
    this.#problems.push({ origin, path, text: `unknown key${suggestKey(section, name)}` });
  }

  #origin(node: ParsedNode): Origin {
    return { kind: 'file', file: this.#file, line: this.#line(node) };
  }

  #line(node: ParsedNode): number {
    return this.#lines.linePos(node.range[0]).line;
  }
}

/** Returns `; did you mean …?` for a wrong name in a section, or the names that the section has. */
function suggestKey(section: ConfigSection, name: string): string {
  const prefix = section.path === '' ? '' : `${section.path}.`;
  const sibling = nearest(name, section.entries.keys());
  if (sibling !== undefined) return `; did you mean ${prefix}${sibling}?`;
  const elsewhere = [...configKeys.keys()].find((path) => path.endsWith(`.${name}`) || path === name);
  if (elsewhere !== undefined) return `; did you mean ${elsewhere}?`;
  return `; allowed: ${[...section.entries.keys()].join(', ')}`;
}
