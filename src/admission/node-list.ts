import { parseNodeKey } from '../wire/keys.ts';
import type { NodeFacts, NodeList } from './node-facts.ts';
import { SourceFailure } from './failure.ts';
import { redactUrl } from '../base/redact-url.ts';

/** One entry of a list in an answer. */
export type ListedNode = Readonly<Record<string, unknown>>;

/**
 * Returns the node keys in an answer of `url` such as `{"devices":[{"nodeKey":"nodekey:…"}]}`: those of entries that
 * `isMember` accepts, with the facts of `factsOf`. An answer without the list is an error, because it must not mean "no
 * nodes".
 */
export function nodesOf(
  answer: unknown,
  url: string,
  field: string,
  isMember: (entry: ListedNode) => boolean,
  factsOf: (entry: ListedNode) => NodeFacts,
): NodeList {
  const list = isRecord(answer) ? answer[field] : undefined;
  if (!Array.isArray(list)) throw new SourceFailure('answer', `${redactUrl(url)}: the answer has no list "${field}"`);
  const nodes = new Map<string, NodeFacts>();
  for (const entry of list as unknown[]) {
    if (!isRecord(entry) || typeof entry['nodeKey'] !== 'string' || !isMember(entry)) continue;
    const key = parseNodeKey(entry['nodeKey']);
    if (key !== null) nodes.set(key.toString('hex'), factsOf(entry));
  }
  return nodes;
}

/** Whether a value of JSON is an object. */
export function isRecord(value: unknown): value is ListedNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
