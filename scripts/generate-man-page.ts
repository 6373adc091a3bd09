/** Writes deploy/man/towpath.1 from the commands and their flags: `npm run docs:man`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option, type Command } from 'commander';
import { createProgram } from '../src/cli/program.ts';
import { configKeys } from '../src/config/keys.ts';

/** The file that this script writes; a test compares. */
export const DOCUMENT: URL = new URL('../deploy/man/towpath.1', import.meta.url);

/** Flags of the configuration: they are the same for many commands, and docs/configuration.md describes them. */
const CONFIG_FLAGS: ReadonlySet<string> = new Set(
  [...configKeys.values()]
    .filter(({ flagName }) => flagName !== null)
    .map(({ flagName }) => new Option(`--${flagName!} <value>`).attributeName()),
);

/** The text of the man page: roff with the macros of man(7). */
export async function manPage(): Promise<string> {
  const program = await createProgram([]);
  return [
    '.\\" Made by "npm run docs:man" from the commands: change it there.',
    '.TH TOWPATH 1 "" "towpath" "User Commands"',
    '.SH NAME',
    `towpath \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    '.B towpath',
    '.I command',
    '.RI [ flags ]',
    '.SH DESCRIPTION',
    roff(
      'towpath relays packets between the nodes of a Tailscale or Headscale network that cannot reach each other directly (DERP and peer relay), and answers STUN.',
    ),
    '.PP',
    roff(
      'Commands with the flag --config also take every key of the configuration as a flag: the key limits.connections is the flag --limits-connections. "towpath serve --help" lists them all.',
    ),
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => commandLines(command, program.name())),
    '.SH FILES',
    '.TP',
    '.I /etc/towpath/towpath.yaml',
    'The configuration of the service.',
    '.TP',
    '.I /var/lib/towpath',
    'The key of the relay, its certificates and its state.',
    '.SH ENVIRONMENT',
    '.TP',
    '.B TOWPATH_CONFIG',
    'The configuration file of commands that get no \\-\\-config.',
    '.TP',
    '.B TOWPATH_...',
    'Every key of the configuration, for example TOWPATH_LISTEN for listen.',
    '.SH EXIT STATUS',
    '0 done, 1 failed, 2 wrong usage or configuration. Some commands have more; their \\-\\-help lists them.',
    '',
  ].join('\n');
}

function commandLines(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  const own = [`.SS ${roff(`${name} ${command.usage()}`)}`, roff(command.description())];
  const flags = command.options
    .filter((option) => !option.hidden && !CONFIG_FLAGS.has(option.attributeName()))
    .flatMap((option) => ['.TP', `.B ${roff(option.flags)}`, roff(option.description)]);
  return [...own, ...flags, ...command.commands.flatMap((child) => commandLines(child, name))];
}

/** Plain text as roff: a line must not start with a control character, and a minus is not a hyphen. */
function roff(text: string): string {
  const escaped = text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll('\n', ' ');
  return /^[.']/.test(escaped) ? String.raw`\&${escaped}` : escaped;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(path.dirname(fileURLToPath(DOCUMENT)), { recursive: true });
  writeFileSync(DOCUMENT, await manPage());
}
