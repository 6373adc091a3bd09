import type { Command } from 'commander';
import { TowpathError } from '../errors.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** `towpath serve`. */
export function registerServe(program: Command): void {
  addConfigFlags(program.command('serve').description('Run the relay'))
    .addHelpText('after', '\nSIGHUP reads the configuration again; SIGTERM and SIGINT drain the relay and end it.')
    .action(async (_options: unknown, command: Command) => {
      const { loadConfig } = await import('../config/load.ts');
      loadConfig({ ...readConfigFlags(command), env: process.env });
      throw new TowpathError('TOWPATH_NOT_IMPLEMENTED', 'serve is not connected yet');
    });
}
