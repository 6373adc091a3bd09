const LATIN1 = 256;
const RANGE_LENGTH = 3;

/**
 * A set of Latin-1 characters, for untrusted text: it costs one table look-up per character. The cost of a regular
 * expression depends on the text.
 */
export class CharacterSet {
  readonly #has = new Uint8Array(LATIN1);

  /** Each member is a range such as `a-z`, or characters one by one. */
  constructor(...members: readonly string[]) {
    for (const member of members) {
      if (member.length === RANGE_LENGTH && member[1] === '-') {
        this.#has.fill(1, member.charCodeAt(0), member.charCodeAt(2) + 1);
      } else {
        for (let i = 0; i < member.length; i++) this.#has[member.charCodeAt(i)] = 1;
      }
    }
  }

  /** Returns the first index in `[from, to)` whose character is not in the set, or `to`. */
  end(text: string, from: number, to: number): number {
    const has = this.#has;
    let at = from;
    while (at < to && has[text.charCodeAt(at)] === 1) at++;
    return at;
  }

  /** Returns the index after the last character in `[from, to)` that is not in the set, or `from`. */
  start(text: string, from: number, to: number): number {
    const has = this.#has;
    let at = to;
    while (at > from && has[text.charCodeAt(at - 1)] === 1) at--;
    return at;
  }

  /** Whether the text has `least` to `most` characters, all of them in the set. */
  holds(text: string, least: number, most: number = least): boolean {
    return text.length >= least && text.length <= most && this.end(text, 0, text.length) === text.length;
  }
}

export const DIGITS: CharacterSet = new CharacterSet('0-9');
export const HEX_DIGITS: CharacterSet = new CharacterSet('0-9', 'a-f', 'A-F');
/** Letters, digits and the other characters of names in HTTP (RFC 9110 §5.6.2). */
export const TOKEN: CharacterSet = new CharacterSet('0-9', 'A-Z', 'a-z', "!#$%&'*+-.^_`|~");
/** Characters that may surround a value in HTTP (RFC 9110 §5.6.3). */
export const BLANKS: CharacterSet = new CharacterSet(' \t');

/** The part `[from, to)` of a text without the blanks around it. */
export function withoutBlanks(text: string, from: number, to: number): string {
  const start = BLANKS.end(text, from, to);
  return text.slice(start, BLANKS.start(text, start, to));
}
