import type { Command } from 'commander';
import { Clock } from '../base/clock.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { TailnetConfig } from '../config/schema/peer-relay.ts';
import { openAdmin } from '../service/admin-target.ts';
import { lockStateDirectory } from '../service/peer-relay/state-file.ts';
import { nodeSettings } from '../service/peer-relay/tailnet-settings.ts';
import { TailnetNode } from '../tailnet/node.ts';
import { NodeState } from '../tailnet/node-state.ts';
import { whyNotRegistered } from '../tailnet/registration.ts';
import { formatNodeKey } from '../wire/keys.ts';
import { ExitCode } from './failure.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

/** Adds `towpath relay login|status|why|logout` to the program. */
export function registerRelay(program: Command): void {
  const relay = program.command('relay').description('The peer relay and its tailnets: login, status, why, logout');
  addConfigFlags(relay.command('login'))
    .description('Register the node of this relay in its tailnets; prints a URL to log in when there is no auth key')
    .argument('[tailnet]', 'name of the tailnet in peerRelay.tailnets; all of them by default')
    .action((name: string | undefined, _options: object, command: Command) => forEach(command, name, logIn));
  addConfigFlags(relay.command('status'))
    .description('Show whether the peer relay is ready in each tailnet, and if not, why and how to fix it')
    .option('--json', 'print the report as JSON only')
    .action((options: { json?: boolean }, command: Command) => status(options.json === true, command));
  addConfigFlags(relay.command('why'))
    .description('Show why a node does not use the peer relay: every condition that the relay can check')
    .argument('<node>', 'the node: its name, its IP address in the tailnet, or its node key')
    .argument('[other]', 'the node that it talks to; all of them by default')
    .option('--json', 'print the report as JSON only')
    .addHelpText('after', '\nExit codes: 0 every condition that can be seen is met, 1 one is not, 2 wrong usage.')
    .action((node: string, other: string | undefined, options: { json?: boolean }, command: Command) =>
      why(node, other, options, command),
    );
  addConfigFlags(relay.command('logout'))
    .description('Log the node out of a tailnet: its key expires at once, until the next login')
    .argument('<tailnet>', 'name of the tailnet in peerRelay.tailnets')
    .action((name: string, _options: object, command: Command) => forEach(command, name, logOut));
}

interface Member {
  readonly node: TailnetNode;
  readonly write: (text: string) => void;
}

/** Does `act` in each chosen tailnet, also after one has failed; then throws the first error. */
async function forEach(
  command: Command,
  name: string | undefined,
  act: (member: Member) => Promise<void>,
): Promise<void> {
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const tailnets = chosen(config, name);
  const lock = lockStateDirectory(config.peerRelay);
  const clock = new Clock();
  clock.start();
  const write = (text: string): void => command.configureOutput().writeOut?.(`${printable(text)}\n`);
  const errors: unknown[] = [];
  try {
    for (const tailnet of tailnets) {
      try {
        await act({ node: openNode(config, tailnet, clock, write), write });
      } catch (error) {
        errors.push(error);
        if (tailnets.length > 1) write(`tailnet ${tailnet.name}: failed: ${errorMessage(error)}`);
      }
    }
  } finally {
    lock.release();
    clock.stop();
  }
  if (errors.length > 0) throw errors[0];
}

function chosen({ peerRelay }: Config, name: string | undefined): readonly TailnetConfig[] {
  const found = peerRelay.tailnets.filter((tailnet) => name === undefined || tailnet.name === name);
  if (found.length > 0) return found;
  const why = name === undefined ? 'peerRelay.tailnets is empty' : `peerRelay.tailnets has no tailnet ${name}`;
  throw new TowpathError('TOWPATH_USAGE_TAILNET', why, {
    hint: 'Name the configuration file with --config; docs/peer-relay.md shows what to write into it.',
  });
}

function openNode(config: Config, tailnet: TailnetConfig, clock: Clock, write: Member['write']): TailnetNode {
  const { limits, stateDirectory } = config.peerRelay;
  const settings = nodeSettings(tailnet, config.region.id, limits);
  const state = NodeState.open(stateDirectory, settings.name, settings.controlUrl);
  const log = {
    debug: () => undefined,
    info: (_fields: object, message: string) => write(message),
    warn: (_fields: object, message: string) => write(message),
  };
  return new TailnetNode(settings, state, { clock, log, environment: process.env });
}

async function logIn({ node, write }: Member): Promise<void> {
  const { name } = node.settings;
  const result = await node.logIn((url) => write(`tailnet ${name}: open this URL to let the relay in: ${url}`));
  if (result.kind === 'registered') {
    write(`tailnet ${name}: logged in as ${formatNodeKey(node.state.node.publicKey)}`);
    if (result.needsApproval) write(`tailnet ${name}: an administrator has to approve the node`);
    return;
  }
  const why = whyNotRegistered(result, node.state.node.publicKey);
  throw new TowpathError('TOWPATH_TAILNET_REFUSED', `tailnet ${name}: the control server refuses the node: ${why}`, {
    hint: 'Make a new auth key, or remove authKey from the configuration to log in by a URL.',
  });
}

async function logOut({ node, write }: Member): Promise<void> {
  await node.logOut();
  write(`tailnet ${node.settings.name}: logged out`);
}

async function status(isJson: boolean, command: Command): Promise<void> {
  const text = await askRelay(command, '/peer-relay', isJson ? { format: 'json' } : {});
  command.configureOutput().writeOut?.(text);
  if (/^tailnet \S+: not ready/m.test(text) || /"isReady": ?false/.test(text)) process.exitCode = ExitCode.Failed;
}

async function why(
  node: string,
  other: string | undefined,
  { json }: { json?: boolean },
  command: Command,
): Promise<void> {
  const query = { node, ...(other === undefined ? {} : { other }), ...(json === true ? { format: 'json' } : {}) };
  const text = await askRelay(command, '/peer-relay/why', query);
  command.configureOutput().writeOut?.(text);
  if (/^ +✗ /m.test(text) || /"status": ?"unmet"/.test(text)) process.exitCode = ExitCode.Failed;
}

/** Requests a page of the running relay's admin listener. Throws a TowpathError when there is no answer. */
async function askRelay(command: Command, path: string, query: Readonly<Record<string, string>>): Promise<string> {
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const admin = openAdmin(config.admin);
  if (admin === null) {
    throw new TowpathError(
      'TOWPATH_USAGE_ADMIN',
      'the running relay cannot be asked, because its admin listener is off',
      {
        hint: 'Set admin to an address such as 127.0.0.1:9090.',
      },
    );
  }
  const parameters = new URLSearchParams(query).toString();
  const answer = await admin.get(parameters === '' ? path : `${path}?${parameters}`);
  const text = answer.body.toString('utf8');
  if (answer.status === 200) return text;
  const hint =
    answer.status === 404
      ? 'Does it have a peer relay (peerRelay.tailnets)?'
      : 'The log of the relay may have more about it.';
  throw new TowpathError(
    'TOWPATH_RELAY_STATUS',
    `the relay at ${admin.place} answered ${answer.status}: ${errorMessage(text.trim())}`,
    { hint },
  );
}
