import type { AddHelpTextContext, Command, Help } from 'commander';
import { wrapWords } from '../base/terminal-text.ts';

/** What commander takes for a pipe, which has no width. */
const PIPE_COLUMNS = 80;
const ITEM_INDENT = 2;
const SPACE_BETWEEN = 2;
/** Descriptions do not start further to the right than behind this many columns. */
const LONGEST_TERM = 26;

/** Text below the help of a command, wrapped at words as the help is. To be given to `addHelpText('after', …)`. */
export function helpNote(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => `\n${wrapWords(text, helpColumns(command))}`;
}

/** After a usage error, each command names its own help. Called when all commands are registered. */
export function pointToOwnHelp(command: Command, path: string): void {
  const what = command.commands.length > 0 ? 'lists the commands' : 'lists the flags';
  command.showHelpAfterError(`(${path} --help ${what})`);
  for (const child of command.commands) pointToOwnHelp(child, `${path} ${child.name()}`);
}

/**
 * One entry of a list in the help: the description is wrapped at words beside its term, and stands below a term that is
 * too long for that. commander itself does not wrap where terms are long.
 */
export function formatHelpItem(term: string, termWidth: number, description: string, helper: Help): string {
  const column = ITEM_INDENT + Math.min(termWidth, LONGEST_TERM) + SPACE_BETWEEN;
  const start = `${' '.repeat(ITEM_INDENT)}${term}`;
  if (description === '') return start;
  const text = wrapWords(description, helper.helpWidth ?? PIPE_COLUMNS, column);
  if (start.length + SPACE_BETWEEN > column) return `${start}\n${' '.repeat(column)}${text}`;
  return `${start.padEnd(column)}${text}`;
}

function helpColumns(command: Command): number {
  return command.configureOutput().getOutHelpWidth?.() ?? PIPE_COLUMNS;
}
