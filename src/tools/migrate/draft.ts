import { stringify } from 'yaml';
import { configKeys } from '../../config/keys.ts';
import { configSchema } from '../../config/schema.ts';

/** A value in a configuration file. */
type Written = string | number | boolean | readonly string[] | readonly Readonly<Record<string, string | boolean>>[];

/** A configuration that is being built, with remarks for the user. It is valid at any time. */
export class Draft {
  readonly #values = new Map<string, Written>();
  readonly #notes = new Map<string, string>();
  readonly #remarks: string[] = [];

  /**
   * Sets keys that belong together. Returns false and sets none of them when the result would be invalid. `note`
   * becomes a comment above the first key.
   */
  set(values: Readonly<Record<string, Written>>, note?: string): boolean {
    const merged = new Map([...this.#values, ...Object.entries(values)]);
    const fits = Object.keys(values).every((path) => configKeys.has(path));
    if (!fits || !configSchema.safeParse(treeOf(merged)).success) return false;
    for (const [path, value] of Object.entries(values)) this.#values.set(path, value);
    const [first] = Object.keys(values);
    if (note !== undefined && first !== undefined) this.#notes.set(first, note);
    return true;
  }

  /** Adds a remark about something that the configuration cannot express. */
  remark(text: string): void {
    this.#remarks.push(text);
  }

  /** The remarks, in order. */
  get remarks(): readonly string[] {
    return this.#remarks;
  }

  /** The configuration as an object. */
  get values(): Record<string, unknown> {
    return treeOf(this.#values);
  }

  /** The configuration file. */
  toYaml(title: readonly string[]): string {
    const lines = [...title.flatMap(comment), ''];
    let section = '';
    for (const [path, value] of inOrder(this.#values)) {
      const names = path.split('.');
      const parents = names.slice(0, -1);
      if (parents.length > 0 && parents.join('.') !== section) lines.push(...openSections(section, parents));
      section = parents.join('.');
      const indent = '  '.repeat(parents.length);
      const note = this.#notes.get(path);
      if (note !== undefined) lines.push(...comment(note).map((line) => indent + line));
      const text = stringify(
        { [names.at(-1)!]: value },
        { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' },
      );
      lines.push(
        ...text
          .trimEnd()
          .split('\n')
          .map((line) => indent + line),
      );
    }
    if (this.#remarks.length > 0) lines.push('', ...this.#remarks.flatMap(comment));
    return `${lines.join('\n')}\n`;
  }
}

/** Orders the keys: keys without a section come first, and the keys of a section stay together. */
function inOrder(values: ReadonlyMap<string, Written>): [string, Written][] {
  const order = [...configKeys.keys()];
  return [...values].toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b));
}

/** Returns the lines that begin the sections `parents`, except those in `open`, which have already begun. */
function openSections(open: string, parents: readonly string[]): string[] {
  const begun = open.split('.');
  let shared = 0;
  while (shared < parents.length && begun[shared] === parents[shared]) shared++;
  return parents.slice(shared).map((name, i) => `${'  '.repeat(shared + i)}${name}:`);
}

function treeOf(values: ReadonlyMap<string, Written>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const names = path.split('.');
    let place = tree;
    for (const name of names.slice(0, -1)) place = (place[name] ??= {}) as Record<string, unknown>;
    place[names.at(-1)!] = value;
  }
  return tree;
}

function comment(text: string): string[] {
  return [`# ${text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\uFEFF]+/gu, ' ')}`.trimEnd()];
}
