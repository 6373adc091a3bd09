/**
 * The command line: one file for each command, which reads flags, calls the folder that does the work, and prints. This file
 * finds the command and loads only that one.
 */
import { Command } from 'commander';
import { printableLines } from '../base/printable.ts';
import { VERSION } from '../base/version.ts';

/** The modules of the commands. Only the one that is asked for is loaded; help loads them all. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  serve: async () => (await import('./serve.ts')).registerServe,
  keygen: async () => (await import('./keygen.ts')).registerKeygen,
  'derp-map': async () => (await import('./derp-map.ts')).registerDerpMap,
  probe: async () => (await import('./probe.ts')).registerProbe,
  load: async () => (await import('./load.ts')).registerLoad,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  relay: async () => (await import('./relay.ts')).registerRelay,
  migrate: async () => (await import('./migrate.ts')).registerMigrate,
  config: async () => (await import('./config.ts')).registerConfig,
};

/** The command line of `argv`, which is without the runtime and the script. Nothing has run yet. */
export async function createProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('towpath')
    .description('A DERP relay server for Tailscale and Headscale networks')
    .version(VERSION, '-V, --version', 'print the version')
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration.')
    // A net below what each command does with text from elsewhere.
    .configureOutput({
      writeOut: (text) => process.stdout.write(printableLines(text)),
      writeErr: (text) => process.stderr.write(printableLines(text)),
      outputError: (text, write) => write(text.replace(/^error: /, 'towpath: ')),
    })
    .showHelpAfterError('(towpath --help lists the commands)')
    .exitOverride();
  const name = argv[0];
  const isKnown = name !== undefined && Object.hasOwn(COMMANDS, name);
  const loaders = isKnown ? [COMMANDS[name]!] : isVersion(name) ? [] : Object.values(COMMANDS);
  for (const load of loaders) (await load())(program);
  return program;
}

function isVersion(name: string | undefined): boolean {
  return name === '--version' || name === '-V';
}
