/**
 * Characters that show nothing by themselves, or change how the text around them is shown: control characters (C0, DEL,
 * C1), format characters (the bidirectional ones, zero-width ones, tags), line and paragraph separators, private use, and
 * halves of surrogate pairs. A terminal may obey them: they move the cursor, set its title, or fake a line.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_IN_LINES = /[^\P{Cc}\n]|[\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Makes untrusted text safe to show on one line: each unprintable character, line ends included, becomes its escape
 * `\uXXXX` (two of them above U+FFFF). Text of a peer, a file or a name server goes through this before it is printed.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, escaped);
}

/** The same for text of several lines: `\n` stays. JSON and double-quoted YAML still mean the same afterwards. */
export function printableLines(text: string): string {
  return text.replaceAll(UNPRINTABLE_IN_LINES, escaped);
}

/**
 * Returns indented JSON with a line end and without terminal control characters: `JSON.stringify` escapes only some of
 * them.
 */
export function printableJson(value: unknown): string {
  return `${printableLines(JSON.stringify(value, null, 2))}\n`;
}

function escaped(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
