/**
 * The command line: one file for each command, which reads flags, calls the folder that does the work, and prints. This file
 * finds the command and loads only that one.
 */
import { Command, CommanderError, Option } from 'commander';
import { printableLines } from '../base/printable.ts';
import { ExitCode } from './failure.ts';
import { formatHelpItem, helpNote, pointToOwnHelp } from './help-text.ts';
import { withoutTypedValues } from './usage-error.ts';
import { versionText } from './version-text.ts';

/** Adds a command to the program. `argv` is the command line as it was typed. */
type Register = (program: Command, argv: readonly string[]) => void;

/** The modules of the commands. Only the one that is asked for is loaded; help loads them all. */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  serve: async () => (await import('./serve.ts')).registerServe,
  setup: async () => (await import('./setup.ts')).registerSetup,
  keygen: async () => (await import('./keygen.ts')).registerKeygen,
  'derp-map': async () => (await import('./derp-map.ts')).registerDerpMap,
  probe: async () => (await import('./probe.ts')).registerProbe,
  load: async () => (await import('./load.ts')).registerLoad,
  status: async () => (await import('./running-relay.ts')).registerStatus,
  top: async () => (await import('./running-relay.ts')).registerTop,
  drain: async () => (await import('./running-relay.ts')).registerDrain,
  reload: async () => (await import('./running-relay.ts')).registerReload,
  disconnect: async () => (await import('./running-relay.ts')).registerDisconnect,
  deny: async () => (await import('./running-relay.ts')).registerDeny,
  limit: async () => (await import('./limit.ts')).registerLimit,
  healthcheck: async () => (await import('./healthcheck.ts')).registerHealthcheck,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  relay: async () => (await import('./relay.ts')).registerRelay,
  accounting: async () => (await import('./accounting.ts')).registerAccounting,
  migrate: async () => (await import('./migrate.ts')).registerMigrate,
  config: async () => (await import('./config.ts')).registerConfig,
  completion: async () => (await import('./completion.ts')).registerCompletion,
  version: () => Promise.resolve(registerVersion),
};
/** Commands that need all other commands to be loaded. */
const NEED_ALL: ReadonlySet<string> = new Set(['completion']);

/** Returns the command line for `argv`, which is without the runtime and the script. It has not run yet. */
export async function createProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('towpath')
    .description('A DERP relay server for Tailscale and Headscale networks')
    .option('-v, --version', 'print the version, the commit and the runtime')
    .addOption(new Option('-V').hideHelp())
    .on('option:version', printVersion)
    .on('option:V', printVersion)
    .addHelpText('after', helpNote('Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.'))
    // A second protection: each command already escapes text from elsewhere.
    .configureOutput({
      writeOut: (text) => process.stdout.write(printableLines(text)),
      writeErr: (text) => process.stderr.write(printableLines(text)),
      outputError: (text, write) => write(withoutTypedValues(text).replace(/^error: /, 'towpath: ')),
    })
    .configureHelp({ formatItem: formatHelpItem })
    .exitOverride();
  const name = argv[0];
  const isKnown = name !== undefined && Object.hasOwn(COMMANDS, name);
  const names = isKnown && !NEED_ALL.has(name) ? [name] : isVersion(name) ? [] : Object.keys(COMMANDS);
  for (const found of names) (await COMMANDS[found]!())(program, argv);
  pointToOwnHelp(program, program.name());
  return program;
}

function isVersion(name: string | undefined): boolean {
  return name === '--version' || name === '-v' || name === '-V';
}

function registerVersion(program: Command): void {
  program.command('version').description('Print the version, the commit and the runtime').action(printVersion);
}

/** Ends the command as help does. */
function printVersion(): never {
  process.stdout.write(versionText());
  throw new CommanderError(ExitCode.Done, 'commander.version', 'version');
}
