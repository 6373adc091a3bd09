import { Option, type Command } from 'commander';
import { configKeys, configTree, type ConfigKey } from '../config/keys.ts';
import type { FlagValues } from '../config/load.ts';
import { splitList } from '../config/schema/values.ts';
import { derperConfiguration } from '../tools/migrate/environment.ts';
import { helpNote } from './help-text.ts';

const OTHER_FLAGS = 'The flags of the configuration work here too: "towpath serve --help" lists them.';

/**
 * Adds `--config` and one flag for every key that has one. The help of `serve` lists these flags (`isListed`); that of the
 * other commands names `serve`, because 250 lines of them would hide the command's own flags.
 */
export function addConfigFlags(command: Command, isListed = false): Command {
  command.option('-c, --config <file>', 'configuration file, YAML or JSON (env TOWPATH_CONFIG)');
  for (const key of configKeys.values()) {
    for (const option of flagOptions(key)) {
      command.addOption(isListed ? option.helpGroup(helpGroup(key)) : option.hideHelp());
    }
  }
  if (!isListed) command.addHelpText('after', helpNote(OTHER_FLAGS));
  return command;
}

/** The sources of a command's configuration, without the `TOWPATH_…` variables. */
interface ConfigFlags {
  readonly file: string | undefined;
  readonly flags: FlagValues;
  /** The configuration from the variables of a derper image, if there are any. */
  readonly values?: object;
  readonly valuesFrom?: string;
}

/**
 * Reads the configuration flags of a command, and the variables of a derper image, which a file overrides. Throws
 * `TOWPATH_CONFIG_INVALID` when one of these has no meaning here.
 */
export function readConfigFlags(command: Command): ConfigFlags {
  const flags: Record<string, FlagValues[string]> = {};
  for (const key of configKeys.values()) {
    if (key.flagName === null) continue;
    const name = new Option(`--${key.flagName} <value>`).attributeName();
    if (command.getOptionValueSource(name) !== 'cli') continue;
    flags[key.path] = command.getOptionValue(name) as FlagValues[string];
  }
  const file = command.getOptionValue('config') as string | undefined;
  const derper = derperConfiguration(process.env);
  return derper === null ? { file, flags } : { file, flags, values: derper.values, valuesFrom: 'the DERP_ variables' };
}

function flagOptions(key: ConfigKey): Option[] {
  const name = key.flagName;
  if (name === null) return [];
  const help = flagHelp(key);
  switch (key.kind) {
    case 'boolean': {
      const on = new Option(`--${name}`, help);
      const off = new Option(`--no-${name}`, key.initial === true ? `Turn this off: ${help}` : help);
      // A flag that repeats the default is only useful to override a file, so the help hides it.
      return key.initial === true ? [on.hideHelp(), off] : [on, off.hideHelp()];
    }
    case 'list':
      return [new Option(`--${name} <list>`, help).argParser(appendList)];
    case 'number':
      return [new Option(`--${name} <number>`, help)];
    case 'text':
    case 'json':
      return [new Option(`--${name} <${key.isPath ? 'path' : 'value'}>`, help)];
  }
}

/** Appends the entries of one flag: a list is separated by commas, or the flag is repeated. */
function appendList(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), ...splitList(value)];
}

function flagHelp(key: ConfigKey): string {
  const sentence = key.help.replace(/\.$/, '');
  if (key.kind === 'boolean') return sentence;
  const initial = key.computed ?? [key.initial ?? []].flat().join(',');
  return (initial === '' ? sentence : `${sentence} (default: ${initial})`).replaceAll('`', '');
}

function helpGroup(key: ConfigKey): string {
  const first = key.path.split('.')[0]!;
  const isSection = configTree.entries.get(first)?.type === 'section';
  return isSection ? `${first}:` : 'Relay:';
}
