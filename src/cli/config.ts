import type { Command } from 'commander';
import { configJsonSchema } from '../config/json-schema.ts';
import { loadConfig } from '../config/load.ts';
import { printJson, printYaml } from '../config/print.ts';
import { printable, printableJson } from '../base/printable.ts';
import { shellWord } from '../base/shell-word.ts';
import { fileChecks } from '../tools/doctor/files.ts';
import type { Check } from '../tools/doctor/check.ts';
import { checkLine } from '../tools/doctor/doctor-report.ts';
import { ExitCode } from './failure.ts';
import { helpNote } from './help-text.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** Adds `towpath config check|print|schema` to the program. */
export function registerConfig(program: Command): void {
  const config = program.command('config').description('Check or print the configuration, or print its JSON Schema');
  config
    .command('check')
    .description('Check a configuration file and the files that it names: key, certificate, lists, secrets')
    .argument('<file>', 'configuration file, YAML or JSON')
    .option('--syntax', 'check only the configuration, not the files that it names')
    .addHelpText(
      'after',
      helpNote(
        'Exit codes: 0 good, 1 a file that it names cannot be used, 2 the configuration is wrong; every problem is shown with its line.',
      ),
    )
    .action(async (file: string, options: { syntax?: boolean }) => {
      const { config } = loadConfig({ file });
      const checks = options.syntax === true ? [] : await fileChecks(config);
      const found = checks.filter(({ status }) => status === 'warning' || status === 'failed');
      process.stdout.write(checkLines(file, found, options.syntax === true));
      if (found.some(({ status }) => status === 'failed')) process.exitCode = ExitCode.Failed;
    });
  addConfigFlags(config.command('print'))
    .description('Print the configuration in effect and where each value comes from; secrets are masked')
    .option('--json', 'print it as JSON')
    .action((options: { json?: boolean }, command: Command) => {
      const loaded = loadConfig({ ...readConfigFlags(command), env: process.env });
      process.stdout.write(options.json === true ? printJson(loaded) : printYaml(loaded));
    });
  config
    .command('schema')
    .description('Print a JSON Schema of the configuration file, for editors')
    .action(() => {
      process.stdout.write(printableJson(configJsonSchema()));
    });
}

function checkLines(file: string, found: readonly Check[], isSyntaxOnly: boolean): string {
  const name = printable(file);
  const lines = found.map((check) => checkLine(check, process.stdout.columns)).join('');
  if (found.some(({ status }) => status === 'failed')) {
    return `${name}: the configuration is right, but files that it names are not\n${lines}`;
  }
  const next = isSyntaxOnly
    ? ''
    : `Whether the relay works, and how clients see it: towpath doctor --config ${shellWord(name)}\n`;
  return `${name}: ok\n${lines}${next}`;
}
