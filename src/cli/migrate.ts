import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { printable, printableLines } from '../base/printable.ts';
import { helpNote } from './help-text.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import { convertContainer, type Container } from '../tools/migrate/container.ts';
import { convertDerper } from '../tools/migrate/convert.ts';
import { fromCompose, fromInspect } from '../tools/migrate/read-container.ts';

const LARGEST_FILE_BYTES = 1024 * 1024;

/**
 * Adds `towpath migrate derper` to the program. Standard output has only the configuration, so that it can be
 * redirected.
 */
export function registerMigrate(program: Command, argv: readonly string[]): void {
  const migrate = program.command('migrate').description("Convert another relay's settings to a towpath configuration");
  const command = migrate.command('derper');
  command
    .description(
      "Print the towpath configuration that does the same as Go's derper with these flags, with the same key and certificates",
    )
    .usage('[options] -- [flags of derper]')
    .argument('[flags...]', "derper's flags, as on its command line")
    .option(
      '--docker-inspect <file>',
      'take them from the output of `docker inspect CONTAINER` instead; - is standard input',
    )
    .option('--compose <file>', 'take them from a compose file instead')
    .option('--service <name>', 'the service in the compose file (default: the one with derp in its image)')
    .allowUnknownOption()
    .addHelpText(
      'after',
      helpNote('Example: towpath migrate derper -- -hostname derp.example.com -verify-clients > towpath.yaml'),
    )
    .action((flags: readonly string[], options: ContainerOptions) => {
      if (!argv.includes('--')) refuseFlags(flags);
      const output = command.configureOutput();
      const container = readContainer(options);
      const draft = container === null ? convertDerper(flags) : convertContainer(container);
      output.writeOut?.(
        printableLines(
          draft.toYaml([
            'Made by "towpath migrate derper". "towpath config print --config FILE" shows what it means, and',
            '"towpath doctor --config FILE" checks whether everything works.',
          ]),
        ),
      );
      for (const remark of draft.remarks) output.writeErr?.(`towpath: ${printable(remark)}\n`);
    });
}

interface ContainerOptions {
  readonly dockerInspect?: string;
  readonly compose?: string;
  readonly service?: string;
}

/** Returns the container of the options, or null without one. */
function readContainer({ dockerInspect, compose, service }: ContainerOptions): Container | null {
  if (dockerInspect !== undefined) return fromInspect(readText(dockerInspect));
  if (compose === undefined) return null;
  return fromCompose(readText(compose), { folder: path.dirname(path.resolve(compose)), env: process.env, service });
}

function readText(file: string): string {
  try {
    return file === '-' ? readFileSync(0, 'utf8') : readSmallFile(file, LARGEST_FILE_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_USAGE', `${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}

/** Refuses flags of derper without `--`: commander would treat them as flags of this command. */
function refuseFlags(words: readonly string[]): void {
  const flag = words.find((word) => word.startsWith('-'));
  if (flag === undefined) return;
  throw new TowpathError(
    'TOWPATH_USAGE',
    `"--" is missing before ${flag.split('=', 1)[0]!}: the flags of derper come after it`,
    {
      hint: `Run: towpath migrate derper -- ${words.map((word) => shellWord(withoutUser(word))).join(' ')}`,
    },
  );
}

/** Returns a word for a message, without the user and password of a URL. */
function withoutUser(word: string): string {
  return word.replace(/:\/\/[^/]*@/, '://…@');
}

function shellWord(word: string): string {
  return /^[\w./:=@,+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
