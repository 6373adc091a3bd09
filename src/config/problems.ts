import { TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { formatOrigin, type Origin } from './origin.ts';
import { withoutSecrets } from './secret-text.ts';

/** One problem of a configuration. */
export interface Problem {
  /** Its place; undefined when there is none, for example for a missing key. */
  readonly origin: Origin | undefined;
  /** The path of the key; empty when the problem is about the whole configuration. */
  readonly path: string;
  /** For example `found "many"; allowed: a whole number from 1 to 9`. */
  readonly text: string;
  /** The line it is about and a mark below the place, for mistakes in the syntax. */
  readonly excerpt?: readonly string[];
}

/** Most problems that are shown. In a wrong file, every line may be a problem. */
const SHOWN_PROBLEMS = 30;
/** The longest piece of a wrong value that a message repeats. */
const FOUND_CHARACTERS = 60;

/**
 * Returns one error for all problems, with one line each in the given order, at most {@link SHOWN_PROBLEMS} of them.
 */
export function configError(problems: readonly Problem[]): TowpathError {
  const lines = problems.map(({ origin, path, text, excerpt = [] }) => {
    const parts = [origin === undefined ? '' : formatOrigin(origin), path, text].filter((part) => part !== '');
    return [parts.join(': '), ...excerpt.map((line) => `    ${line}`)].map(printable).join('\n');
  });
  const shown = lines.slice(0, SHOWN_PROBLEMS);
  if (lines.length > shown.length) shown.push(`and ${lines.length - shown.length} more`);
  const message =
    lines.length === 1 ? lines[0]! : [`${lines.length} problems in the configuration:`, ...shown].join('\n  ');
  return new TowpathError('TOWPATH_CONFIG_INVALID', message, {
    hint: 'docs/configuration.md describes every key; "towpath config schema" prints a JSON Schema for editors.',
  });
}

/** Returns a value for a message: JSON, shortened, without possible secrets. */
export function describeFound(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  const text = withoutSecrets(typeof value === 'bigint' ? String(value) : JSON.stringify(value));
  return text.length <= FOUND_CHARACTERS ? text : `${text.slice(0, FOUND_CHARACTERS)}…`;
}
