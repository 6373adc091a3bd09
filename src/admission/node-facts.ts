/**
 * A source's facts about a node besides its key. Plain data. They decide the tier of the node and are shown to people.
 */
export interface NodeFacts {
  /** The label in a file of keys, or the name of the node in the list of its control server; empty when unknown. */
  readonly label: string;
  /** The owner's login name; empty when unknown. */
  readonly user: string;
  /** Tags such as `tag:server`. */
  readonly tags: readonly string[];
}

/** Facts about an unknown node. */
export const NO_FACTS: NodeFacts = { label: '', user: '', tags: [] };

/** The keys that a source admits, as 64 hex digits, with what it knows of each. */
export type NodeList = ReadonlyMap<string, NodeFacts>;

/** Longest label, user or tag that is kept, because others write them. */
const MOST_CHARACTERS = 256;
const MOST_TAGS = 64;

/** Makes facts from untrusted values. A value that is not a text, or too long, counts as unknown. */
export function nodeFacts(label: unknown, user: unknown, tags: unknown): NodeFacts {
  const list = Array.isArray(tags) ? (tags as unknown[]) : [];
  return {
    label: textOf(label),
    user: textOf(user),
    tags: [...new Set(list.map(textOf).filter((tag) => tag !== ''))].slice(0, MOST_TAGS),
  };
}

/** Returns whether two lists have the same keys with the same facts. */
export function isSameList(a: NodeList, b: NodeList): boolean {
  if (a.size !== b.size) return false;
  for (const [key, facts] of a) {
    const other = b.get(key);
    if (other === undefined || !isSameFacts(facts, other)) return false;
  }
  return true;
}

/** Returns whether both facts are equal. */
export function isSameFacts(a: NodeFacts, b: NodeFacts): boolean {
  return a.label === b.label && a.user === b.user && a.tags.join('\n') === b.tags.join('\n');
}

function textOf(value: unknown): string {
  return typeof value === 'string' && value.length <= MOST_CHARACTERS ? value : '';
}
