/** A name that may be shown: a command as people type it, right or wrong. */
const COMMAND_NAME = /^[a-z][a-z-]{0,19}$/i;

/**
 * An error of commander about wrong usage, without the values that were typed: behind an unknown flag or instead of a
 * command, there may be a token, and errors end in logs. Flags keep their names.
 */
export function withoutTypedValues(text: string): string {
  return text
    .replace(/unknown option '(--[^'=]*)=[^]*'/, "unknown option '$1'")
    .replace(/unknown option '(-[^'-])[^]*'/, "unknown option '$1'")
    .replace(/unknown command '([^]*)'/, (whole, name: string) => (COMMAND_NAME.test(name) ? whole : 'unknown command'))
    .replace(/(too many arguments.* but got \d+): [^]*\./, '$1.');
}
