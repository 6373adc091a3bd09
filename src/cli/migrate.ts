import type { Command } from 'commander';
import { printable, printableLines } from '../base/printable.ts';
import { convertDerper } from '../tools/migrate/convert.ts';

/** Adds `towpath migrate derper` to the program. Standard output is the configuration alone, so that it can be redirected. */
export function registerMigrate(program: Command): void {
  const migrate = program.command('migrate').description("Convert another relay's settings to a towpath configuration");
  const command = migrate.command('derper');
  command
    .description(
      "Print the towpath configuration that does the same as Go's derper with these flags, with the same key and certificates",
    )
    .usage('-- [flags of derper]')
    .argument('[flags...]', "derper's flags, as on its command line")
    .addHelpText(
      'after',
      '\nExample: towpath migrate derper -- -hostname derp.example.com -verify-clients > towpath.yaml',
    )
    .action((flags: readonly string[]) => {
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
