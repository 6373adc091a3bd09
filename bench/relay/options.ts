import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isBefore, ServerName } from './server.ts';

const HELP = `bench/run.sh [--short | --full] [flags]

  --short            three short rounds of the main cases, for CI (default; TOWPATH_BENCH=full changes that)
  --full             five rounds of every case; keeps JSON in bench/results/ and renders docs/performance.md
  --servers LIST     of derper, node, bun, node-before, bun-before (default: derper,node; with --full also bun)
  --before DIR       the checkout that node-before and bun-before run, with its own node_modules; adds both to the servers
  --cases LIST       only these; a name ending in * is a prefix (see bench/relay/cases.ts)
  --rounds N         rounds of every case (default 5, short 3)
  --resume           with --full: keep what today's file has and run only the rounds that it lacks
  --out FILE         with --full: the JSON file (default bench/results/DATE-MACHINE.json); cases in it that are not
                     run now stay; with another folder docs/performance.md is left alone
  --idle N           connections of the idle case (default 10000, short 500)
  --megabytes N      megabytes each way between two tailscaled (default 50, short 30)
  --repeats N        how often a run is repeated when others used the machine (default 2, short 0)
  --patience N       seconds to wait, before all runs together, for moments in which nothing else uses the machine
                     (default 0)
  --json             JSON on stdout; the table goes to stderr
  --help`;

/** The options of one run of the benchmark. */
export interface BenchOptions {
  readonly short: boolean;
  readonly servers: readonly ServerName[];
  /** Patterns of case names; empty means all of the mode. */
  readonly cases: readonly string[];
  /** The checkout of the servers whose names end in `-before`. */
  readonly before: string | null;
  readonly rounds: number;
  readonly idleConnections: number;
  readonly megabytes: number;
  /** How often a run is repeated when other programs used the machine; the run with the least disturbance counts. */
  readonly repeats: number;
  /** Longest time in seconds that all runs together wait for a quiet machine. */
  readonly patienceSeconds: number;
  readonly json: boolean;
  /** Runs only the rounds that are missing in the file. */
  readonly resume: boolean;
  /** File for the results; null means the file of this day and machine. */
  readonly out: string | null;
}

const NAMES: readonly string[] = Object.values(ServerName);

/** Reads the arguments. Returns null after printing the help. Throws an Error that describes a wrong argument. */
export function readOptions(argv: readonly string[], environment: NodeJS.ProcessEnv): BenchOptions | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      short: { type: 'boolean' },
      full: { type: 'boolean' },
      servers: { type: 'string' },
      before: { type: 'string' },
      cases: { type: 'string' },
      rounds: { type: 'string' },
      idle: { type: 'string' },
      megabytes: { type: 'string' },
      repeats: { type: 'string' },
      patience: { type: 'string' },
      json: { type: 'boolean' },
      resume: { type: 'boolean' },
      out: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    console.log(HELP);
    return null;
  }
  const full = values.full ?? (values.short !== true && environment['TOWPATH_BENCH'] === 'full');
  const before = values.before === undefined ? null : resolve(values.before);
  const servers = values.servers === undefined ? defaultServers(full, before) : list(values.servers).map(serverName);
  if (before === null && servers.some(isBefore))
    throw new Error('--before DIR is needed for the servers named -before');
  return {
    short: !full,
    servers,
    before,
    cases: values.cases === undefined ? [] : list(values.cases),
    rounds: number('rounds', values.rounds, full ? 5 : 3),
    idleConnections: number('idle', values.idle, full ? 10_000 : 500),
    megabytes: number('megabytes', values.megabytes, full ? 50 : 30),
    repeats: number('repeats', values.repeats, full ? 2 : 0),
    patienceSeconds: number('patience', values.patience, 0),
    json: values.json === true,
    resume: values.resume === true,
    out: values.out ?? null,
  };
}

/** The short run does not include Bun, because it may take only 90 seconds. */
function defaultServers(full: boolean, before: string | null): ServerName[] {
  const servers = [ServerName.Derper, ServerName.Node, ...(full ? [ServerName.Bun] : [])];
  if (before === null) return servers;
  return [...servers, ServerName.NodeBefore, ...(full ? [ServerName.BunBefore] : [])];
}

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function serverName(text: string): ServerName {
  if (NAMES.includes(text)) return text as ServerName;
  throw new Error(`--servers: ${text} must be one of ${NAMES.join(', ')}`);
}

function number(flag: string, text: string | undefined, byDefault: number): number {
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new Error(`--${flag}: ${text} is not a whole number`);
}
