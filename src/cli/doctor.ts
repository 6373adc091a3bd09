import { InvalidArgumentError, type Command } from 'commander';
import { Clock } from '../base/clock.ts';
import { loadConfig } from '../config/load.ts';
import { isSound, type Section } from '../tools/doctor/check.ts';
import { examine } from '../tools/doctor/doctor.ts';
import type { DoctorOptions } from '../tools/doctor/examined-relay.ts';
import { parseRelayUrl } from '../client/relay-url.ts';
import { printable } from '../base/printable.ts';
import { cutToWidth } from '../base/terminal-text.ts';
import { transport } from '../transport/runtime.ts';
import { parseNodeKey } from '../wire/keys.ts';
import { doctorJson, sectionLines, verdict } from '../tools/doctor/doctor-report.ts';
import { ExitCode } from './failure.ts';
import { addConfigFlags, readConfigFlags } from './flags.ts';
import { helpNote } from './help-text.ts';
import { readDerpMap } from '../derp-map/derp-map-file.ts';

const DEFAULT_STUN_PORT = 3478;
const MAX_TIMEOUT_S = 60;
const DEFAULT_TOTAL_S = 60;
const MAX_TOTAL_S = 3600;
/** Goes to the start of the line and clears it. */
const CLEAR_LINE = '\r\u001B[K';

interface DoctorFlags {
  readonly key?: Buffer;
  readonly node?: readonly string[];
  readonly derpMap?: string;
  readonly outside?: readonly string[];
  readonly stunServer?: { readonly host: string; readonly port: number };
  readonly timeout: number;
  readonly totalTimeout: number;
  readonly json?: true;
}

/** Adds `towpath doctor` to the program. */
export function registerDoctor(program: Command): void {
  const command = program.command('doctor');
  command
    .description(
      'Find out why a relay does not work. Run it on the machine of the relay: it checks the machine, and the relay as clients reach it.',
    )
    .option(
      '--key <nodekey>',
      'also check whether this node may use the relay; written as "nodekey:" and 64 hex digits',
      nodeKey,
    )
    .option(
      '--node <node...>',
      'also check why this node, or this pair of nodes, does not use the peer relay; names, IP addresses or node keys',
    )
    .option('--derp-map <file>', 'also compare the relay with the DERP map that clients get; a file or a URL')
    .option('--outside <url...>', 'also connect to the relay at these URLs, as clients do', relayUrl)
    .option(
      '--stun-server <host:port>',
      'also ask this other STUN server for the public address of this machine',
      hostPort,
    )
    .option(
      '--timeout <seconds>',
      `time limit of each check in seconds (at most ${MAX_TIMEOUT_S})`,
      seconds(MAX_TIMEOUT_S),
      5,
    )
    .option(
      '--total-timeout <seconds>',
      `time limit of all checks together in seconds (at most ${MAX_TOTAL_S})`,
      seconds(MAX_TOTAL_S),
      DEFAULT_TOTAL_S,
    )
    .option('--json', 'print the report as JSON only');
  addConfigFlags(command)
    .addHelpText('after', helpNote('Exit codes: 0 no check failed, 1 a check failed, 2 wrong usage.'))
    .action(async (flags: DoctorFlags) => {
      const write = (text: string): void => command.configureOutput().writeOut?.(text);
      const sections = await run(command, flags, flags.json === true ? () => undefined : write);
      write(flags.json === true ? doctorJson(sections) : `\n${verdict(sections)}`);
      if (!isSound(sections)) process.exitCode = ExitCode.Failed;
    });
}

async function run(command: Command, flags: DoctorFlags, write: (text: string) => void): Promise<Section[]> {
  const timeoutMs = flags.timeout * 1000;
  const options = {
    timeoutMs,
    totalMs: flags.totalTimeout * 1000,
    load: () => loadConfig({ ...readConfigFlags(command), env: process.env }),
    map: flags.derpMap === undefined ? null : await readDerpMap(flags.derpMap, timeoutMs),
    outside: flags.outside ?? [],
    stunServer: flags.stunServer ?? null,
    nodeKey: flags.key ?? null,
    relayNodes: flags.node ?? [],
  };
  return examineAloud(options, flags.json !== true, write);
}

/** Examines a relay and writes each section when it is complete. On a terminal, it also shows the present check. */
export async function examineAloud(
  options: Omit<DoctorOptions, 'transport' | 'clock' | 'onStart' | 'onSection'>,
  isForPerson: boolean,
  write: (text: string) => void,
): Promise<Section[]> {
  const progress = new Progress(isForPerson);
  const clock = new Clock();
  clock.start();
  let isFirst = true;
  try {
    return await examine({
      ...options,
      transport,
      clock,
      onStart: (title) => progress.show(title),
      onSection: (section) => {
        progress.clear();
        write(`${isFirst ? '' : '\n'}${sectionLines(section, process.stdout.columns)}`);
        isFirst = false;
      },
    });
  } finally {
    progress.clear();
    clock.stop();
  }
}

/** Shows the present check on a terminal. Writes nothing to a pipe. */
class Progress {
  readonly #isShown: boolean;

  constructor(isWanted: boolean) {
    this.#isShown = isWanted && process.stderr.isTTY;
  }

  show(title: string): void {
    if (this.#isShown)
      process.stderr.write(`${CLEAR_LINE}${cutToWidth(`… ${printable(title)}`, process.stderr.columns)}`);
  }

  clear(): void {
    if (this.#isShown) process.stderr.write(CLEAR_LINE);
  }
}

function nodeKey(text: string): Buffer {
  const key = parseNodeKey(text);
  if (key !== null) return key;
  throw new InvalidArgumentError('It must be "nodekey:" and 64 hex digits.');
}

function relayUrl(text: string, previous: readonly string[] | undefined): string[] {
  try {
    parseRelayUrl(text);
  } catch {
    throw new InvalidArgumentError('It must be https://HOST[:PORT]/derp.');
  }
  return [...(previous ?? []), text];
}

function hostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? DEFAULT_STUN_PORT);
  if (match === null || port < 1 || port > 65_535) throw new InvalidArgumentError('It must be HOST or HOST:PORT.');
  return { host: match[1] ?? match[2]!, port };
}

function seconds(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
  };
}
