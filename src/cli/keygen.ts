import type { Command } from 'commander';
import { createKeyFile, newKeyFileText, parseKeyFile } from '../service/key-file.ts';
import { formatNodeKey } from '../wire/keys.ts';
import { helpNote } from './help-text.ts';

/** Adds `towpath keygen` to the program. */
export function registerKeygen(program: Command): void {
  const command = program.command('keygen');
  command
    .description('Make a new private key for a relay, and print its public key.')
    .option(
      '--out <file>',
      'write the private key to this file, readable by its owner only; an existing file is never overwritten',
    )
    .addHelpText(
      'after',
      helpNote('Without --out, the key file goes to standard output and the public key to standard error.'),
    )
    .action((options: { out?: string }) => {
      const output = command.configureOutput();
      if (options.out !== undefined) {
        output.writeOut?.(`${formatNodeKey(createKeyFile(options.out).keyPair.publicKey)}\n`);
        return;
      }
      const text = newKeyFileText();
      output.writeOut?.(text);
      output.writeErr?.(`${formatNodeKey(parseKeyFile(text, 'of keygen').publicKey)}\n`);
    });
}
