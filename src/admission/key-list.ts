import { TowpathError } from '../base/errors.ts';
import { parseNodeKey } from '../wire/keys.ts';

/** Keys as 64 hex digits, each with its label, which may be empty. */
export type KeyList = ReadonlyMap<string, string>;

const HINT = 'A line is "nodekey:" and 64 hex digits, then a label if you like; # begins a comment.';

/**
 * Reads a key file: one `nodekey:…` per line, the rest of the line is a label, `#` starts a comment. Throws a
 * {@link TowpathError} with the file and the line: half a list would admit the wrong nodes or refuse the right ones.
 */
export function parseKeyList(text: string, file: string): KeyList {
  const keys = new Map<string, string>();
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const [entry, comment] = splitComment(line);
    if (entry === '') continue;
    const [word = '', ...label] = entry.split(/\s+/);
    const key = parseNodeKey(word.toLowerCase());
    if (key === null) {
      throw new TowpathError('TOWPATH_KEY_LIST_INVALID', `${file}:${i + 1}: this is not a node key`, { hint: HINT });
    }
    keys.set(key.toString('hex'), label.join(' ') || comment);
  }
  return keys;
}

function splitComment(line: string): [string, string] {
  const at = line.indexOf('#');
  return at < 0 ? [line.trim(), ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
}
