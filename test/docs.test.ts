import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../src/cli/program.ts';
import { loadConfig } from '../src/config/load.ts';
import { Counters } from '../src/observe/counters.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const PAGES = [
  'README.md',
  ...readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Returns the contents of the fenced blocks of `language` in a page. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1]!);
}

/** Returns the `towpath …` commands of a page, as the words after `towpath`. */
function commands(page: string): string[][] {
  return (
    blocks(page, 'sh')
      .flatMap((block) => block.replaceAll(/\\\n\s*/g, ' ').split('\n'))
      // Redirections, pipes and comments are not part of the command.
      .map((line) => /^(?:npx )?towpath (.*)$/.exec(line.trim().split(/\s[>#|]/, 1)[0]!)?.[1]?.trim())
      .filter((rest) => rest !== undefined)
      .map((rest) => rest.split(/\s+/))
  );
}

function scripts(page: string): string[] {
  return blocks(page, 'sh').flatMap((block) =>
    [...block.matchAll(/npm (?:run )?([a-z:0-9-]+)/g)].map((match) => match[1]!),
  );
}

suite('documentation', () => {
  for (const page of PAGES) {
    test(`${page}: every configuration in it loads`, () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'towpath-docs-'));
      try {
        for (const block of blocks(page, 'yaml').filter((text) => text.startsWith('# towpath.yaml'))) {
          const file = path.join(folder, 'towpath.yaml');
          writeFileSync(file, block);
          assert.doesNotThrow(() => loadConfig({ file }), block);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    test(`${page}: every command in it exists, with its flags`, async () => {
      for (const words of commands(page).filter(([first]) => first !== '--version')) {
        const program = await createProgram(words);
        let command: Command = program;
        const rest = [...words];
        for (let next = find(command, rest[0]); next !== undefined; next = find(command, rest[0])) {
          command = next;
          rest.shift();
        }
        assert.ok(command !== program || rest[0]!.startsWith('-'), `unknown command: towpath ${words.join(' ')}`);
        const { unknown } = command.parseOptions(rest);
        assert.deepEqual(unknown, [], `unknown flags in: towpath ${words.join(' ')}`);
      }
    });

    test(`${page}: every npm script and every link in it exists`, () => {
      const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
        scripts: Record<string, string>;
      };
      const builtIn = new Set(['ci', 'install', 'pack', 'root', 'run']);
      for (const name of scripts(page)) assert.ok(builtIn.has(name) || name in manifest.scripts, `npm script ${name}`);
      const text = readFileSync(path.join(ROOT, page), 'utf8');
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#\s]+)\)/g)) {
        assert.ok(existsSync(path.join(ROOT, path.dirname(page), target!)), `${page} links to ${target!}`);
      }
    });
  }
});

test('docs/operating.md explains every reason for which a connection is refused', () => {
  const text = readFileSync(path.join(ROOT, 'docs/operating.md'), 'utf8');
  for (const reason of Object.keys(new Counters().refusals)) assert.ok(text.includes(`\`${reason}\``), reason);
});

test('docs/security.md names tests that exist', () => {
  const text = readFileSync(path.join(ROOT, 'docs/security.md'), 'utf8');
  const named = [...text.matchAll(/`(test\/[\w/.-]+\.test\.ts)`: ([^|;]+)/g)];
  assert.ok(named.length > 25, `${named.length} tests`);
  for (const [, file, name] of named) {
    const source = readFileSync(path.join(ROOT, file!), 'utf8');
    assert.ok(source.includes(name!.trim()), `${file!} has no test "${name!.trim()}"`);
  }
});

function find(command: Command, name: string | undefined): Command | undefined {
  return command.commands.find((candidate) => candidate.name() === name);
}
