/** A name that may be shown: a command as people type it, right or wrong. */
const COMMAND_NAME = /^[a-z][a-z-]{0,19}$/i;

/**
 * Returns commander's message about wrong usage without the typed values. A typed value may be a token, and error
 * messages end up in logs. Names of flags stay.
 */
export function withoutTypedValues(text: string): string {
  return text
    .replace(/unknown option '(--[^'=]*)=[^]*'/, "unknown option '$1'")
    .replace(/unknown option '(-[^'-])[^]*'/, "unknown option '$1'")
    .replace(/unknown command '([^]*)'/, (whole, name: string) => (COMMAND_NAME.test(name) ? whole : 'unknown command'))
    .replace(/(too many arguments.* but got \d+): [^]*\./, '$1.');
}
