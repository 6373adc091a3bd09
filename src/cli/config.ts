import type { Command } from 'commander';
import { configJsonSchema } from '../config/json-schema.ts';
import { loadConfig } from '../config/load.ts';
import { printJson, printYaml } from '../config/print.ts';
import { printable, printableJson } from '../base/printable.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** `towpath config check|print|schema`. */
export function registerConfig(program: Command): void {
  const config = program.command('config').description('Check or print the configuration, or print its JSON Schema');
  config
    .command('check')
    .description('Check a configuration file. If it is wrong: exit code 2, and every problem with its line')
    .argument('<file>', 'configuration file, YAML or JSON')
    .action((file: string) => {
      loadConfig({ file });
      process.stdout.write(`${printable(file)}: ok\n`);
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
