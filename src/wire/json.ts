/** The same limit as in derper's parser. */
const MAX_DEPTH = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACE = 0x20;
/** `[` and `{` differ in this bit alone, and so do `]` and `}`. */
const CURLY_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;
/** `\u0041`: the longest form of a letter. */
const MOST_BYTES_PER_LETTER = 6;

/** JSON with the same important key twice in one object. Programs differ in which of the two they use. */
export class RepeatedKeyError extends SyntaxError {
  constructor(key: string) {
    super(`the key "${key}" is there twice`);
  }
}

/**
 * Parses the JSON that a peer sent. Throws a SyntaxError when it is not JSON, or nested more than 10,000 deep: V8 takes
 * up to 40 ns for each byte of deep nesting, ten times as long as for other text, and more for longer text. Throws a
 * {@link RepeatedKeyError} when one object has one of `decisive` twice, in any spelling of case. They are at most 31
 * names of ASCII characters.
 */
export function parseForeignJson(bytes: Buffer, decisive: readonly string[] = []): unknown {
  if (isTooDeep(bytes)) throw new SyntaxError(`it is nested more than ${MAX_DEPTH} deep`);
  const value = JSON.parse(bytes.toString('utf8')) as unknown;
  const repeated = decisive.length === 0 ? null : repeatedKey(bytes, decisive);
  if (repeated !== null) throw new RepeatedKeyError(repeated);
  return value;
}

/**
 * Whether brackets outside of strings nest too deep. The result may be wrong for text that is not JSON, which the
 * parser refuses anyway.
 */
function isTooDeep(bytes: Buffer): boolean {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if ((byte | CURLY_BIT) === OPENING) {
      if (++depth > MAX_DEPTH) return true;
    } else if ((byte | CURLY_BIT) === CLOSING) {
      depth--;
    }
  }
  return false;
}

/** Returns the first of `names` that an object in `json` has twice, or null. `json` must be valid. */
function repeatedKey(json: Buffer, names: readonly string[]): string | null {
  const bits = new Map(names.map((name, index) => [folded(name), 1 << index]));
  const mostBytes = Math.max(...names.map((name) => name.length)) * MOST_BYTES_PER_LETTER;
  /** The names that were seen in each object around this one. */
  const outer: number[] = [];
  let seen = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === QUOTE) {
      const end = endOfString(json, at);
      if (end - at <= mostBytes + 1 && isBeforeColon(json, end)) {
        const name = JSON.parse(json.toString('utf8', at, end + 1)) as string;
        const bit = bits.get(folded(name)) ?? 0;
        if ((seen & bit) !== 0) return names.find((wanted) => folded(wanted) === folded(name))!;
        seen |= bit;
      }
      at = end;
    } else if ((byte | CURLY_BIT) === OPENING) {
      outer.push(seen);
      seen = 0;
    } else if ((byte | CURLY_BIT) === CLOSING) {
      seen = outer.pop() ?? 0;
    }
  }
  return null;
}

/**
 * Returns the index of the quote that closes the string at `from`; the length of `bytes`, or one more, when there is
 * none.
 */
function endOfString(bytes: Buffer, from: number): number {
  let at = from + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** Whether the string that ends at `end` is a key. */
function isBeforeColon(json: Buffer, end: number): boolean {
  let at = end + 1;
  while (json[at]! <= SPACE) at++;
  return json[at] === COLON;
}

/** Returns a key in the form in which Go compares it: the long s counts as s, and the Kelvin sign as k. */
function folded(name: string): string {
  return name.toUpperCase().toLowerCase();
}
