/** Where the parser of derper stops, too. */
const MAX_DEPTH = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{` differ in this bit alone, and so do `]` and `}`. */
const CURLY_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/**
 * Parses the JSON that a peer sent. Throws a SyntaxError for what is no JSON, and for what is nested more than 10,000 deep:
 * V8 takes up to 40 ns for each byte of that, ten times as long as for others, and the more the longer the text is.
 */
export function parseForeignJson(bytes: Buffer): unknown {
  if (isTooDeep(bytes)) throw new SyntaxError(`it is nested more than ${MAX_DEPTH} deep`);
  return JSON.parse(bytes.toString('utf8')) as unknown;
}

/** Whether brackets that are in no string are open too deep. What is no JSON may be misjudged: its parser refuses it. */
function isTooDeep(bytes: Buffer): boolean {
  let depth = 0;
  let isString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (isString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) isString = false;
    } else if (byte === QUOTE) {
      isString = true;
    } else if ((byte | CURLY_BIT) === OPENING) {
      if (++depth > MAX_DEPTH) return true;
    } else if ((byte | CURLY_BIT) === CLOSING) {
      depth--;
    }
  }
  return false;
}
