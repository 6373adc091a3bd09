import type { Command } from 'commander';
import { printable, printableLines } from '../base/printable.ts';
import { helpNote } from './help-text.ts';
import { TowpathError } from '../base/errors.ts';
import { convertDerper } from '../tools/migrate/convert.ts';

/** Adds `towpath migrate derper` to the program. Standard output is the configuration alone, so that it can be redirected. */
export function registerMigrate(program: Command, argv: readonly string[]): void {
  const migrate = program.command('migrate').description("Convert another relay's settings to a towpath configuration");
  const command = migrate.command('derper');
  command
    .description(
      "Print the towpath configuration that does the same as Go's derper with these flags, with the same key and certificates",
    )
    .usage('-- [flags of derper]')
    .argument('[flags...]', "derper's flags, as on its command line")
    .allowUnknownOption()
    .addHelpText(
      'after',
      helpNote('Example: towpath migrate derper -- -hostname derp.example.com -verify-clients > towpath.yaml'),
    )
    .action((flags: readonly string[]) => {
      if (!argv.includes('--')) refuseFlags(flags);
      const output = command.configureOutput();
      const draft = convertDerper(flags);
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

/** Without `--`, a flag of derper is one of this command, which does not have it. */
function refuseFlags(words: readonly string[]): void {
  const flag = words.find((word) => word.startsWith('-'));
  if (flag === undefined) return;
  throw new TowpathError('TOWPATH_USAGE', `"--" is missing before ${flag}: the flags of derper stand behind it`, {
    hint: `Run: towpath migrate derper -- ${words.map(shellWord).join(' ')}`,
  });
}

function shellWord(word: string): string {
  return /^[\w./:=@,+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
