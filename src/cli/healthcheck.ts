import type { Command } from 'commander';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { printable } from '../base/printable.ts';
import { loadConfig } from '../config/load.ts';
import type { ListenAddress } from '../config/schema.ts';
import { requestHttp } from '../transport/http/request.ts';
import { ExitCode } from './failure.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';
import { helpNote } from './help-text.ts';

const TIMEOUT_MS = 3000;
/** The answer lists the problems of the relay. */
const ANSWER_BYTES = 16 * 1024;

/** Adds `towpath healthcheck`: asks the relay of this machine whether it is ready. For containers, which have no shell. */
export function registerHealthcheck(program: Command): void {
  addConfigFlags(program.command('healthcheck'))
    .description('Ask the running relay whether it is ready (/readyz), for the health check of a container')
    .addHelpText('after', helpNote('Exit code 0: ready. 1: not ready, or no answer from the admin address.'))
    .action(async (_options: unknown, command: Command) => {
      const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
      if (config.admin === null) {
        throw new TowpathError(
          'TOWPATH_HEALTHCHECK',
          'The relay has no admin address (admin: off), so nobody can ask it.',
          {
            hint: 'Set admin to an address of this machine such as 127.0.0.1:9090.',
          },
        );
      }
      const { isReady, text } = await askReadiness(config.admin);
      process.stdout.write(`${printable(text)}\n`);
      process.exitCode = isReady ? ExitCode.Done : ExitCode.Failed;
    });
}

async function askReadiness({ ip, port }: ListenAddress): Promise<{ isReady: boolean; text: string }> {
  const place = formatHostPort(ip === '::' || ip === '0.0.0.0' ? '127.0.0.1' : ip, port);
  try {
    const { status, body } = await requestHttp({
      url: `http://${place}/readyz`,
      method: 'GET',
      headers: {},
      timeoutMs: TIMEOUT_MS,
      limitBytes: ANSWER_BYTES,
      environment: null,
    });
    return { isReady: status === 200, text: body.toString().trim() };
  } catch (error) {
    throw new TowpathError('TOWPATH_HEALTHCHECK', `No answer from the relay at ${place}: ${errorMessage(error)}`, {
      hint: 'Is it running, with the same configuration as this command?',
      cause: error,
    });
  }
}
