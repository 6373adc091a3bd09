import type { AddHelpTextContext, Command, Help } from 'commander';
import { wrapWords } from '../base/terminal-text.ts';

/** Width that commander uses for a pipe. */
const PIPE_COLUMNS = 80;
const ITEM_INDENT = 2;
const SPACE_BETWEEN = 2;
/** Largest column at which descriptions start. */
const LONGEST_TERM = 26;

/** Returns text for below the help of a command, wrapped like the help. For `addHelpText('after', …)`. */
export function helpNote(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => `\n${wrapWords(text, helpColumns(command))}`;
}

/** Makes each command name its own help after a usage error. Call it when all commands are registered. */
export function pointToOwnHelp(command: Command, path: string): void {
  const what = command.commands.length > 0 ? 'lists the commands' : 'lists the flags';
  command.showHelpAfterError(`(${path} --help ${what})`);
  for (const child of command.commands) pointToOwnHelp(child, `${path} ${child.name()}`);
}

/**
 * Returns one entry of a list in the help. The description is wrapped at words next to its term, or placed below a term
 * that is too long for that. commander itself does not wrap next to long terms.
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
