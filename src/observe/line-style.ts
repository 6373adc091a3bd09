import { printable } from '../base/printable.ts';

/** Terminal colours by level. Other levels have none. */
const COLORS: Readonly<Record<string, number>> = { warn: 33, error: 31, fatal: 31, debug: 36, trace: 36 };
const DIM = 2;
const LEVEL_WIDTH = 5;
/** Text that can stand after `=` without quotes. */
const PLAIN = /^[\w./:@+\-[\]]+$/;

/** Turns one JSON line of the log into one line for people: time, level, message, `key=value`. */
export class LineStyle {
  readonly #isColored: boolean;

  constructor(isColored: boolean) {
    this.#isColored = isColored;
  }

  /** The line for people, with its line end. A stack trace follows an error, indented. */
  format(json: string): string {
    const { time, level, msg, err, ...rest } = JSON.parse(json) as Record<string, unknown>;
    const label = String(level);
    const parts = [
      this.#paint(String(time).slice(11, 23), DIM),
      this.#paint(label.toUpperCase().padEnd(LEVEL_WIDTH), COLORS[label]),
    ];
    if (typeof msg === 'string') parts.push(printable(msg));
    if (isError(err)) rest['error'] = err.message;
    for (const [name, value] of Object.entries(rest))
      parts.push(`${this.#paint(`${printable(name)}=`, DIM)}${show(value)}`);
    const isSerious = label === 'error' || label === 'fatal';
    return `${parts.join(' ')}\n${isSerious && isError(err) ? stackLines(err.stack) : ''}`;
  }

  #paint(text: string, color: number | undefined): string {
    return this.#isColored && color !== undefined ? `\u001b[${color}m${text}\u001b[0m` : text;
  }
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (PLAIN.test(text)) return text;
  return typeof value === 'string' ? printable(JSON.stringify(value)) : printable(text);
}

function isError(value: unknown): value is { message: string; stack?: unknown } {
  return typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string';
}

function stackLines(stack: unknown): string {
  if (typeof stack !== 'string') return '';
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '));
  return frames.map((line) => `${printable(line)}\n`).join('');
}
