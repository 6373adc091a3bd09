import type { Command } from 'commander';
import { TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { loadConfig } from '../config/load.ts';
import { openAdmin } from '../service/admin-target.ts';
import { ExitCode } from './failure.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';
import { helpNote } from './help-text.ts';

const TIMEOUT_MS = 3000;

/** Adds `towpath healthcheck`: asks the relay of this machine whether it is ready. For containers, which have no shell. */
export function registerHealthcheck(program: Command): void {
  addConfigFlags(program.command('healthcheck'))
    .description('Ask the running relay whether it is ready (/readyz), for the health check of a container')
    .addHelpText('after', helpNote('Exit code 0: ready. 1: not ready, or no answer from the admin address.'))
    .action(async (_options: unknown, command: Command) => {
      const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
      const admin = openAdmin(config.admin, TIMEOUT_MS);
      if (admin === null) {
        throw new TowpathError(
          'TOWPATH_HEALTHCHECK',
          'The relay has no admin address (admin: off), so it cannot be asked.',
          {
            hint: 'Set admin to an address of this machine such as 127.0.0.1:9090.',
          },
        );
      }
      const { status, body } = await admin.get('/readyz');
      const text = body.toString().trim();
      const isReady = status === 200;
      process.stdout.write(`${printable(text)}\n`);
      process.exitCode = isReady ? ExitCode.Done : ExitCode.Failed;
    });
}
