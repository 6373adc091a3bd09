import { parseNodeKey } from '../wire/keys.ts';
import { SourceFailure } from './failure.ts';
import { redactUrl } from '../base/redact-url.ts';

/**
 * The node keys in an answer of `url` such as `{"devices":[{"nodeKey":"nodekey:…"}]}`, of the entries that `isMember` accepts.
 * An answer without the list is an error: it must not mean "no nodes".
 */
export function nodeKeysOf(
  answer: unknown,
  url: string,
  field: string,
  isMember: (entry: Readonly<Record<string, unknown>>) => boolean,
): ReadonlySet<string> {
  const list = isRecord(answer) ? answer[field] : undefined;
  if (!Array.isArray(list)) throw new SourceFailure('answer', `${redactUrl(url)}: the answer has no list "${field}"`);
  const keys = new Set<string>();
  for (const entry of list as unknown[]) {
    if (!isRecord(entry) || typeof entry['nodeKey'] !== 'string' || !isMember(entry)) continue;
    const key = parseNodeKey(entry['nodeKey']);
    if (key !== null) keys.add(key.toString('hex'));
  }
  return keys;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
