import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** `towpath serve`. */
export function registerServe(program: Command): void {
  addConfigFlags(program.command('serve').description('Run the relay'))
    .addHelpText('after', '\nSIGHUP reads the configuration again; SIGTERM and SIGINT drain the relay and end it.')
    .action(async (_options: unknown, command: Command) => {
      const [{ loadConfig }, { serve }] = await Promise.all([
        import('../config/load.ts'),
        import('../server/serve.ts'),
      ]);
      const load = (): Config => loadConfig({ ...readConfigFlags(command), env: process.env }).config;
      process.exitCode = await serve({ config: load(), reload: load });
    });
}
