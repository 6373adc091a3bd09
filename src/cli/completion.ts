import { Argument, type Command } from 'commander';
import { commandEntries } from './command-tree.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completion-scripts.ts';
import { helpNote } from './help-text.ts';

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;
const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Adds `towpath completion` to the program, which must have all other commands when it runs. */
export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('Print a script with which a shell completes commands, flags and file names')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText(
      'after',
      helpNote(
        [
          'bash: towpath completion bash > /etc/bash_completion.d/towpath',
          'zsh: towpath completion zsh > /usr/local/share/zsh/site-functions/_towpath',
          'fish: towpath completion fish > /etc/fish/completions/towpath.fish',
        ].join('\n'),
      ),
    )
    .action((shell: (typeof SHELLS)[number]) => {
      program.configureOutput().writeOut?.(SCRIPTS[shell](commandEntries(program)));
    });
}
