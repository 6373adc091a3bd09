import { CommanderError } from 'commander';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { printable, printableLines } from '../base/printable.ts';

/** Exit codes of every command; the last two are those of `load`. */
export const ExitCode = { Done: 0, Failed: 1, Usage: 2, ConditionFailed: 3, Interrupted: 130 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Codes of errors that are wrong usage, not failure. */
const USAGE_CODES = /^TOWPATH_(?:CONFIG|USAGE)(?:_|$)/;

/** Writes the error for the user, and returns the exit code. */
export function reportFailure(error: unknown): ExitCode {
  // commander has already written its message or the help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.Done : ExitCode.Usage;
  if (error instanceof TowpathError) {
    // Only a configuration has several problems, a line for each; elsewhere a line end comes from a peer.
    const message = error.code === 'TOWPATH_CONFIG_INVALID' ? printableLines(error.message) : printable(error.message);
    process.stderr.write(`towpath: ${message}\n${error.hint === undefined ? '' : `  ${printable(error.hint)}\n`}`);
    return USAGE_CODES.test(error.code) ? ExitCode.Usage : ExitCode.Failed;
  }
  const detail = error instanceof Error ? (error.stack ?? errorMessage(error)) : errorMessage(error);
  process.stderr.write(`towpath: unexpected error, please report it\n${printableLines(detail)}\n`);
  return ExitCode.Failed;
}
