import type { CommandEntry, ValueKind } from './command-tree.ts';

/** The first sentence of a description: menus have one line for each entry. */
const FIRST_SENTENCE = /^.*?(?=[.:;] |[.:;]?$)/;

/** Returns a completion script for bash. `entries` are all commands, the program itself first. */
export function bashCompletion(entries: readonly CommandEntry[]): string {
  const values = entries.flatMap(({ path, flags }) =>
    flags.flatMap(({ names, value }) => names.map((name) => ({ pattern: quote(`${path} ${name}`), value }))),
  );
  const byValue = [
    bashCase(values, 'file', 'COMPREPLY=($(compgen -f -- "$cur")); return'),
    bashCase(values, 'other', 'return'),
    ...values.flatMap(({ pattern, value }) =>
      value.kind === 'words' ? [`    ${pattern}) ${bashWords(value.words)}; return ;;\n`] : [],
    ),
  ].join('');
  const words = entries.map((entry) => {
    const files = entry.argument.kind === 'file' ? ' COMPREPLY+=($(compgen -f -- "$cur"))' : '';
    return `    ${quote(entry.path)}) ${bashWords(wordsOf(entry))};${files} ;;\n`;
  });
  return `# Completion of towpath for bash, made by "towpath completion bash".
_towpath() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=towpath i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${commandPattern(entries)}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$at $prev" in
${byValue}  esac
  case "$at" in
${words.join('')}  esac
}
complete -o filenames -F _towpath towpath
`;
}

interface BashValue {
  readonly pattern: string;
  readonly value: ValueKind;
}

function bashCase(values: readonly BashValue[], kind: ValueKind['kind'], action: string): string {
  const patterns = values.filter(({ value }) => value.kind === kind).map(({ pattern }) => pattern);
  return patterns.length === 0 ? '' : `    ${patterns.join('|')}) ${action} ;;\n`;
}

function bashWords(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W ${quote(words.join(' '))} -- "$cur"))`;
}

/** Returns a completion script for zsh. */
export function zshCompletion(entries: readonly CommandEntry[]): string {
  const values = entries.flatMap(({ path, flags }) =>
    flags.flatMap(({ names, value }) => names.map((name) => ({ at: quote(`${path} ${name}`), value }))),
  );
  const byValue = values.flatMap(({ at, value }) => {
    if (value.kind === 'none') return [];
    if (value.kind === 'file') return [`    ${at}) _files; return ;;\n`];
    return [
      `    ${at}) ${value.kind === 'words' ? `compadd -- ${value.words.map(quote).join(' ')}; ` : ''}return ;;\n`,
    ];
  });
  const items = entries.map((entry) => {
    const subcommands = entry.subcommands.map(({ name, description }) => zshItem(name, description));
    const flags = entry.flags.map(({ names, description }) => zshItem(names.at(-1)!, description));
    const { argument } = entry;
    const words = argument.kind === 'words' ? argument.words.map((word) => zshItem(word, '')) : [];
    const files = argument.kind === 'file' ? ' _files;' : '';
    return `    ${quote(entry.path)})${files} items=(${[...subcommands, ...words, ...flags].join(' ')}) ;;\n`;
  });
  return `#compdef towpath
# Completion of towpath for zsh, made by "towpath completion zsh".
_towpath() {
  local at=towpath word
  local -a items
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      ${commandPattern(entries)}) at="$at $word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${byValue.join('')}  esac
  case "$at" in
${items.join('')}  esac
  _describe -V towpath items
}
if [[ $funcstack[1] == _towpath ]]; then _towpath "$@"; else compdef _towpath towpath; fi
`;
}

function zshItem(name: string, description: string): string {
  const text = short(description);
  return quote(text === '' ? name : `${name}:${text.replaceAll(':', '\\:')}`);
}

/** Returns a completion script for fish. */
export function fishCompletion(entries: readonly CommandEntry[]): string {
  const paths = entries.slice(1).map(({ path }) => fishQuote(path));
  const lines = entries.flatMap((entry) => {
    const here = `complete -c towpath -n '__towpath_at "${entry.path}"'`;
    const { argument } = entry;
    const words = argument.kind === 'words' ? [`${here} -a ${fishQuote(argument.words.join(' '))}`] : [];
    const files = argument.kind === 'file' ? [`${here} -F`] : [];
    const subcommands = entry.subcommands.map(
      ({ name, description }) => `${here} -a ${name} -d ${fishQuote(short(description))}`,
    );
    const flags = entry.flags.map(({ names, description, value }) => {
      const spellings = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
      return `${here} ${spellings.join(' ')}${fishValue(value)} -d ${fishQuote(short(description))}`;
    });
    return [...subcommands, ...words, ...files, ...flags];
  });
  return `# Completion of towpath for fish, made by "towpath completion fish".
function __towpath_at
  set -l at towpath
  for word in (commandline -opc)[2..-1]
    switch "$at $word"
      case ${paths.join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
complete -c towpath -f
${lines.join('\n')}
`;
}

function fishValue(value: ValueKind): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'file':
      return ' -r -F';
    case 'words':
      return ` -x -a ${fishQuote(value.words.join(' '))}`;
    case 'other':
      return ' -x';
  }
}

function wordsOf({ subcommands, flags, argument }: CommandEntry): string[] {
  const words = argument.kind === 'words' ? argument.words : [];
  return [...subcommands.map(({ name }) => name), ...words, ...flags.flatMap(({ names }) => names)];
}

/** Returns the pattern of a shell's `case` for every command except the program itself. */
function commandPattern(entries: readonly CommandEntry[]): string {
  return entries
    .slice(1)
    .map(({ path }) => quote(path))
    .join('|');
}

function short(description: string): string {
  return FIRST_SENTENCE.exec(description.replaceAll('\n', ' '))?.[0] ?? '';
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}
