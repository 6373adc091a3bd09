import type { Command } from 'commander';
import { printable, printableLines } from '../printable.ts';
import { convertDerper } from './derper/convert.ts';

/** Adds `towpath migrate derper` to the program. Standard output is the configuration alone, so that it can be redirected. */
export function registerMigrate(program: Command): void {
  const migrate = program.command('migrate').description('Make a configuration out of that of another relay');
  const command = migrate.command('derper');
  command
    .description(
      "Print the configuration that does what Go's derper does with these flags, with its key and certificates",
    )
    .usage('-- [flags of derper]')
    .argument('[flags...]', 'the flags as derper gets them')
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
            'Made by "towpath migrate derper". See what it means with "towpath config print --config FILE", and',
            'whether everything works with "towpath doctor --config FILE".',
          ]),
        ),
      );
      for (const remark of draft.remarks) output.writeErr?.(`towpath: ${printable(remark)}\n`);
    });
}
