/** Text for terminals: lines that fit their width. Every character counts as one column. */

/** A line that is rewritten in place must leave the last column free, or the terminal starts a new line. */
const FREE_COLUMNS = 1;
/** Text is not wrapped in fewer columns than this, because it would not be readable. */
const LEAST_COLUMNS = 20;

/**
 * `text` cut to the width of a terminal with `columns` columns, with `…` where something is missing, so that it can be
 * rewritten in place. Without a width, as in a pipe, it is returned as it is.
 */
export function cutToWidth(text: string, columns: number | undefined): string {
  if (columns === undefined || columns <= 0) return text;
  const most = Math.max(columns - FREE_COLUMNS, 1);
  const characters = Array.from(text);
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('')}…`;
}

/**
 * `text`, which starts at column `indent`, with line ends between its words so that no line is longer than `columns`;
 * all lines but the first begin with `indent` spaces. A word that is longer than a line stays whole, so that it can be
 * copied. Without a width, and when fewer than 20 columns are left, the text is returned as it is.
 */
export function wrapWords(text: string, columns: number | undefined, indent = 0): string {
  if (columns === undefined || columns - indent < LEAST_COLUMNS) return text;
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && Array.from(longer).length > columns - indent) {
        lines.push(line);
        line = word;
      } else line = longer;
    }
    lines.push(line);
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}
