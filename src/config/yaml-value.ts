import { isAlias, isMap, isScalar, isSeq, type Document, type ParsedNode } from 'yaml';
import { nameWithoutSecrets } from './secret-text.ts';

/** Most aliases. Each costs a pass over the whole document, and nested aliases multiply. */
const MAX_ALIASES = 100;

/** A part of a YAML document that cannot be a value of a configuration. */
export class YamlValueError extends Error {
  readonly node: ParsedNode;

  constructor(node: ParsedNode, message: string) {
    super(message);
    this.node = node;
  }
}

/**
 * Turns nodes of one YAML document into plain values. The library's own conversion takes time that is exponential in the
 * depth of mappings used as keys, and returns values that contain themselves.
 */
export class YamlValues {
  readonly #document: Document.Parsed;
  #aliases = 0;

  constructor(document: Document.Parsed) {
    this.#document = document;
  }

  /** Returns the value of `node`. Throws a {@link YamlValueError} for a node that a configuration cannot have. */
  value(node: ParsedNode | null): unknown {
    if (node === null) return null;
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => this.value(item));
    if (isAlias(node)) return this.value(this.target(node));
    if (!isMap(node)) throw new YamlValueError(node, 'this is neither a mapping, a list nor a plain value');
    const entries = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      const name = nameOf(key);
      if (entries.has(name))
        throw new YamlValueError(key, `the key ${JSON.stringify(nameWithoutSecrets(name))} is there twice`);
      entries.set(name, this.value(value));
    }
    return Object.fromEntries(entries);
  }

  /** Returns the node that an alias stands for; any other node itself. */
  target(node: ParsedNode | null): ParsedNode | null {
    if (!isAlias(node)) return node;
    if (++this.#aliases > MAX_ALIASES) {
      throw new YamlValueError(node, `more than ${MAX_ALIASES} aliases, or one within itself`);
    }
    const meant = node.resolve(this.#document) as ParsedNode | undefined;
    if (meant === undefined) throw new YamlValueError(node, 'there is no anchor of this name before it');
    return meant;
  }
}

/** Returns the key of a mapping as text. Throws a {@link YamlValueError} for a list or a mapping. */
export function nameOf(key: ParsedNode): string {
  if (!isScalar(key)) throw new YamlValueError(key, 'a key must be plain text, not a list or a mapping');
  return String(key.value);
}
