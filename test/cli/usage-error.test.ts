import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CommanderError } from 'commander';
import { createProgram } from '../../src/cli/program.ts';

/** Returns the text that the command line writes for wrong usage. */
async function complaint(...argv: string[]): Promise<string> {
  const program = await createProgram(argv);
  let written = '';
  const collect = (text: string): void => void (written += text);
  for (const command of [program, ...program.commands]) {
    command.configureOutput({ writeErr: collect, writeOut: collect }).exitOverride();
    for (const child of command.commands) child.configureOutput({ writeErr: collect }).exitOverride();
  }
  return program.parseAsync(argv, { from: 'user' }).then(
    () => '',
    // An error of commander has been written already.
    (error: unknown) => (error instanceof CommanderError ? written : String(error)),
  );
}

suite('errors about the command line', () => {
  const typed: readonly (readonly [string[], RegExp])[] = [
    [['serve', '--admin-tokn=s3cret'], /unknown option '--admin-tokn'\n/],
    [['serve', "--x=s3cret'\nmore"], /unknown option '--x'\n/],
    [['--unknown=s3cret', 'serve'], /unknown option '--unknown'\n/],
    [['serve', '-xs3cret'], /unknown option '-x'\n/],
    [['s3cret'], /unknown command\n/],
    [['config', 'https://u:s3cret@host/'], /unknown command\n/],
    [['serve', 's3cret'], /too many arguments for 'serve'\. Expected 0 arguments but got 1\.\n/],
    [['status', '--url', 'u:s3cret@host'], /the value of --url is not a URL/],
  ];
  for (const [argv, expected] of typed) {
    test(`${argv.join(' ').replace('\n', ' ')}: names the flag and not its value`, async () => {
      const text = await complaint(...argv);
      assert.doesNotMatch(text, /s3cret/);
      assert.match(text, expected);
    });
  }

  test('a wrong command is named, with the right one', async () => {
    assert.match(await complaint('statuss'), /unknown command 'statuss'\n\(Did you mean status\?\)/);
  });
});
