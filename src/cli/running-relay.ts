/** The commands that use the admin API of a running relay, here or elsewhere: status, top and actions. */
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionBodies, ActionName, ConnectionsAnswer } from '../api/shapes.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { statusText } from '../tools/watch/status-text.ts';
import { LINES_AROUND_ROWS, topText } from '../tools/watch/top-text.ts';
import { addAdminFlags, readAdminFlags } from './admin-flags.ts';
import { ExitCode } from './failure.ts';
import { helpNote } from './help-text.ts';
import { secondsIn } from './seconds.ts';

const TOP_PERIOD_MS = 2000;
/** Rows when the output is not a terminal, and the most rows that are requested. */
const TOP_ROWS = 20;
const MOST_ROWS = 200;
const HOME_AND_CLEAR = '\u001b[H\u001b[J';

/** Adds `towpath status`. */
export function registerStatus(program: Command): void {
  addAdminFlags(program.command('status'))
    .description('Show the state of the running relay: readiness, clients, traffic and problems')
    .option('--json', 'print the answer of the API only')
    .addHelpText('after', helpNote('Exit code 0: ready. 1: not ready, or no answer.'))
    .action(async ({ json }: { json?: boolean }, command: Command) => {
      const status = await readAdminFlags(command).status();
      const text = json === true ? `${JSON.stringify(status, null, 2)}\n` : statusText(status, process.stdout.columns);
      command.configureOutput().writeOut?.(text);
      if (!status.isReady) process.exitCode = ExitCode.Failed;
    });
}

/** Adds `towpath top`. */
export function registerTop(program: Command): void {
  addAdminFlags(program.command('top'))
    .description(
      'List the busiest connections of the running relay, updated every two seconds; printed once into a pipe',
    )
    .option('--sort <column>', 'what to sort by: rate, receivedRate, sentRate, drops, queue, since or name', 'rate')
    .option('--search <text>', 'only connections with this in their name, owner, key, address or application')
    .option('--json', 'print one answer of the API only')
    .action(async (options: TopOptions, command: Command) => {
      const client = readAdminFlags(command);
      const write = (text: string): void => command.configureOutput().writeOut?.(text);
      const isLive = process.stdout.isTTY && options.json !== true;
      do {
        const [status, connections] = await Promise.all([client.status(), readConnections(client, options)]);
        if (options.json === true) write(`${JSON.stringify({ status, connections }, null, 2)}\n`);
        else {
          // Not with writeOut, which removes cursor movements.
          if (isLive) process.stdout.write(HOME_AND_CLEAR);
          write(topText(status, connections, process.stdout.columns));
        }
        if (isLive) await sleep(TOP_PERIOD_MS);
      } while (isLive);
    });
}

/** Adds `towpath drain`. */
export function registerDrain(program: Command): void {
  addAction(
    program,
    'drain',
    'Make the running relay tell its clients to reconnect, close their connections and end',
  ).action((_options: object, command: Command) => act(command, 'drain', {}));
}

/** Adds `towpath reload`. */
export function registerReload(program: Command): void {
  addAction(program, 'reload', 'Make the running relay read its configuration, certificate and lists again').action(
    (_options: object, command: Command) => act(command, 'reload', {}),
  );
}

/** Adds `towpath disconnect`. */
export function registerDisconnect(program: Command): void {
  addAction(program, 'disconnect', 'End all connections of a node key; the client may connect again')
    .argument('<key>', 'the node key: nodekey: and 64 hex digits')
    .action((key: string, _options: object, command: Command) => act(command, 'disconnect', { key }));
}

/** Adds `towpath deny`. */
export function registerDeny(program: Command): void {
  addAction(program, 'deny', 'End all connections of a node key and refuse it for a time')
    .argument('<key>', 'the node key: nodekey: and 64 hex digits')
    .option('--for <time>', 'for how long: a number with s, min, h or d; 0 takes a denial back', '1h')
    .option('--reason <text>', 'for the log and the status page')
    .action((key: string, options: { for: string; reason?: string }, command: Command) => {
      const { reason } = options;
      return act(command, 'deny', {
        key,
        seconds: secondsIn(options.for),
        ...(reason === undefined ? {} : { reason }),
      });
    });
}

interface TopOptions {
  readonly sort: string;
  readonly search?: string;
  readonly json?: boolean;
}

async function readConnections(client: AdminClient, { sort, search }: TopOptions): Promise<ConnectionsAnswer> {
  const lines = process.stdout.isTTY ? process.stdout.rows : TOP_ROWS + LINES_AROUND_ROWS;
  const size = Math.min(Math.max(lines - LINES_AROUND_ROWS, 1), MOST_ROWS);
  const isText = sort === 'name' || sort === 'since';
  const query = new URLSearchParams({ sort: isText ? sort : `-${sort}`, size: String(size), search: search ?? '' });
  return (await client.read(`connections?${query.toString()}`)) as ConnectionsAnswer;
}

function addAction(program: Command, name: ActionName, description: string): Command {
  return addAdminFlags(program.command(name)).description(description);
}

async function act<Name extends ActionName>(command: Command, name: Name, body: ActionBodies[Name]): Promise<void> {
  const { message } = await readAdminFlags(command).act(name, body);
  command.configureOutput().writeOut?.(`${message}\n`);
}
