import type { Command } from 'commander';
import { Clock } from '../base/clock.ts';
import { TowpathError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { TailnetConfig } from '../config/schema/peer-relay.ts';
import { nodeSettings } from '../service/peer-relay/tailnet-settings.ts';
import { TailnetNode } from '../tailnet/node.ts';
import { NodeState } from '../tailnet/node-state.ts';
import { requestHttp } from '../transport/http/request.ts';
import { formatHostPort } from '../base/ip-address.ts';
import { formatNodeKey } from '../wire/keys.ts';
import { ExitCode } from './failure.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';

const STATUS_TIMEOUT_MS = 5000;
const STATUS_BYTES = 16 * 1024 * 1024;

/** Adds `towpath relay login|status|logout` to the program. */
export function registerRelay(program: Command): void {
  const relay = program.command('relay').description('The peer relay and its tailnets: login, status, logout');
  addConfigFlags(relay.command('login'))
    .description('Let the node of this relay into its tailnets: prints a URL when there is no auth key that does it')
    .argument('[tailnet]', 'name of the tailnet in peerRelay.tailnets; all of them by default')
    .action((name: string | undefined, _options: object, command: Command) => forEach(command, name, logIn));
  addConfigFlags(relay.command('status'))
    .description('Tell whether the peer relay is ready in each tailnet, and if not, why and what to do')
    .option('--json', 'print the report as JSON only')
    .action((options: { json?: boolean }, command: Command) => status(options.json === true, command));
  addConfigFlags(relay.command('logout'))
    .description('Log the node out of a tailnet: its key expires at once, until the next login')
    .argument('<tailnet>', 'name of the tailnet in peerRelay.tailnets')
    .action((name: string, _options: object, command: Command) => forEach(command, name, logOut));
}

interface Member {
  readonly node: TailnetNode;
  readonly write: (text: string) => void;
}

async function forEach(
  command: Command,
  name: string | undefined,
  act: (member: Member) => Promise<void>,
): Promise<void> {
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const clock = new Clock();
  clock.start();
  const write = (text: string): void => command.configureOutput().writeOut?.(`${printable(text)}\n`);
  try {
    for (const tailnet of chosen(config, name)) await act({ node: openNode(config, tailnet, clock, write), write });
  } finally {
    clock.stop();
  }
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
  const why = result.kind === 'refused' ? result.reason : 'the node key counts as expired';
  throw new TowpathError('TOWPATH_TAILNET_REFUSED', `tailnet ${name}: the control server refuses the node: ${why}`, {
    hint: 'Make a new auth key, or remove authKey from the configuration to log in by a URL.',
  });
}

async function logOut({ node, write }: Member): Promise<void> {
  await node.logOut();
  write(`tailnet ${node.settings.name}: logged out`);
}

async function status(isJson: boolean, command: Command): Promise<void> {
  const { config } = loadConfig({ ...readConfigFlags(command), env: process.env });
  const { admin } = config;
  if (admin === null) {
    throw new TowpathError('TOWPATH_USAGE_ADMIN', 'the status is asked from the administration, which is off', {
      hint: 'Set admin to an address such as 127.0.0.1:9090.',
    });
  }
  const ip = admin.ip === '::' || admin.ip === '0.0.0.0' ? '127.0.0.1' : admin.ip;
  const url = `http://${formatHostPort(ip, admin.port)}/peer-relay${isJson ? '?format=json' : ''}`;
  const answer = await requestHttp({
    url,
    method: 'GET',
    headers: {},
    timeoutMs: STATUS_TIMEOUT_MS,
    limitBytes: STATUS_BYTES,
    environment: null,
  }).catch((error: unknown) => {
    throw new TowpathError('TOWPATH_RELAY_STATUS', `no answer from the relay at ${url}`, {
      hint: 'Does it run, and with this configuration?',
      cause: error,
    });
  });
  if (answer.status !== 200)
    throw new TowpathError('TOWPATH_RELAY_STATUS', `the relay at ${url} answered ${answer.status}`);
  const text = answer.body.toString('utf8');
  command.configureOutput().writeOut?.(text);
  if (/^tailnet \S+: not ready/m.test(text) || /"isReady": ?false/.test(text)) process.exitCode = ExitCode.Failed;
}
