import type { Command, Option } from 'commander';

/** The kind of value after a flag or a command. */
export type ValueKind =
  /** No value: it is a switch. */
  | { readonly kind: 'none' }
  | { readonly kind: 'file' }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  /** A value without suggestions. */
  | { readonly kind: 'other' };

/** One flag of the command line. */
interface Flag {
  /** Its spellings with their dashes, such as `-c` and `--config`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly value: ValueKind;
}

/** One command with its full name, such as `towpath config check`. */
export interface CommandEntry {
  readonly path: string;
  readonly description: string;
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly Flag[];
  /** The argument of the command itself. */
  readonly argument: ValueKind;
}

/** Placeholders of values that are files or folders. */
const FILE_PLACEHOLDER = /[<[](?:file|path|folder|directory)(?:\.\.\.)?[>\]]/;

/** Returns a command and all its subcommands, each once, the parents first. Hidden flags are left out. */
export function commandEntries(command: Command, path: string = command.name()): CommandEntry[] {
  const subcommands = command.commands.map((child) => ({ name: child.name(), description: child.description() }));
  const [argument] = command.registeredArguments;
  const helpFlag: Flag = { names: ['-h', '--help'], description: 'print the help', value: { kind: 'none' } };
  const entry: CommandEntry = {
    path,
    description: command.description(),
    subcommands,
    flags: [...command.options.filter(({ hidden }) => !hidden).map(flagOf), helpFlag],
    argument: argument === undefined ? { kind: 'none' } : valueOf(`<${argument.name()}>`, argument.argChoices),
  };
  return [entry, ...command.commands.flatMap((child) => commandEntries(child, `${path} ${child.name()}`))];
}

function flagOf(option: Option): Flag {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  const value: ValueKind =
    option.isBoolean() || option.negate ? { kind: 'none' } : valueOf(option.flags, option.argChoices);
  return { names, description: option.description, value };
}

function valueOf(placeholder: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return FILE_PLACEHOLDER.test(placeholder) ? { kind: 'file' } : { kind: 'other' };
}
