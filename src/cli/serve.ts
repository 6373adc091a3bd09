import { setImmediate } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { endProcessNow } from '../base/process-end.ts';
import { printable } from '../base/printable.ts';
import { serveSignals } from '../base/signals.ts';
import { derperConfiguration } from '../tools/migrate/environment.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';
import { helpNote } from './help-text.ts';
import { continueIn, ownCommand, RUNTIMES, type RuntimeName } from './runtime.ts';

/** Adds `towpath serve` to the program. */
export function registerServe(program: Command): void {
  addConfigFlags(program.command('serve').description('Run the relay'), true)
    .addOption(
      new Option(
        '--runtime <name>',
        'JavaScript runtime to run in (default: the one that started the command)',
      ).choices(RUNTIMES),
    )
    .addHelpText(
      'after',
      helpNote(
        'SIGHUP reloads the configuration, the certificate and the key lists. SIGTERM and SIGINT drain the relay and stop it. SIGUSR2 replaces it with sockets from systemd.',
      ),
    )
    .action(async ({ runtime }: { runtime?: RuntimeName }, command: Command) => {
      await signalsSoFar();
      if (runtime !== undefined) continueIn(runtime);
      // Read at the start: an upgrade of the package moves the file of this program away.
      const program = ownCommand();
      const [{ loadConfig }, { serve }] = await Promise.all([
        import('../config/load.ts'),
        import('../service/serve.ts'),
      ]);
      for (const remark of derperConfiguration(process.env)?.remarks ?? []) {
        process.stderr.write(`towpath: ${printable(remark)}\n`);
      }
      await signalsSoFar();
      const load = (): Config => loadConfig({ ...readConfigFlags(command), env: process.env }).config;
      process.exitCode = await serve({
        config: load(),
        reload: load,
        signals: serveSignals(),
        endNow: endProcessNow,
        command: program,
      });
    });
}

/**
 * Waits for a turn of the event loop, in which a signal that came while code was loaded is delivered. It may end the
 * process.
 */
async function signalsSoFar(): Promise<void> {
  await setImmediate();
}
