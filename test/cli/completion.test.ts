import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { DOCUMENT, manPage } from '../../scripts/generate-man-page.ts';
import { createProgram } from '../../src/cli/program.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-completion-'));
after(() => rmSync(folder, { recursive: true }));

async function scriptFor(shell: string): Promise<string> {
  let text = '';
  const program = await createProgram(['completion', shell]);
  program.configureOutput({ writeOut: (more) => (text += more) });
  await program.parseAsync(['completion', shell], { from: 'user' });
  const file = path.join(folder, shell === 'zsh' ? '_towpath' : `towpath.${shell}`);
  writeFileSync(file, text);
  return file;
}

const needs = (program: string): { skip: boolean } => ({ skip: spawnSync(program, ['--version']).status !== 0 });

suite('towpath completion', () => {
  test('bash completes commands, flags and words', needs('bash'), async () => {
    const file = await scriptFor('bash');
    const complete = (...words: string[]): string[] => {
      const script = `source "$0"; COMP_WORDS=(towpath "$@"); COMP_CWORD=$#; _towpath; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', script, file, ...words], { encoding: 'utf8', cwd: folder });
      assert.equal(stderr, '');
      return stdout.trim().split('\n');
    };
    assert.deepEqual(complete('ser'), ['serve']);
    assert.deepEqual(complete('config', '').slice(0, 3), ['check', 'print', 'schema']);
    assert.deepEqual(complete('serve', '--log-l'), ['--log-level']);
    assert.deepEqual(complete('derp-map', '--format', ''), ['policy', 'headscale', 'json']);
    assert.deepEqual(complete('completion', 'f'), ['fish']);
    assert.deepEqual(complete('serve', '--config', 'towpath.b'), ['towpath.bash'], 'file names');
    assert.deepEqual(complete('serve', '--listen', ''), [''], 'a value that cannot be guessed');
  });

  test('zsh can read its script', needs('zsh'), async () => {
    const file = await scriptFor('zsh');
    assert.equal(spawnSync('zsh', ['-n', file], { encoding: 'utf8' }).stderr, '');
  });

  test('fish completes commands, flags and words', needs('fish'), async () => {
    const file = await scriptFor('fish');
    const complete = (line: string): string[] => {
      const script = `source ${file}; complete -C '${line}'`;
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8', cwd: folder });
      assert.equal(stderr, '');
      return stdout
        .trim()
        .split('\n')
        .map((found) => found.split('\t', 1)[0]!);
    };
    assert.deepEqual(complete('towpath ser'), ['serve']);
    assert.deepEqual(complete('towpath config ').toSorted(), ['check', 'print', 'schema']);
    assert.deepEqual(complete('towpath derp-map --format ').toSorted(), ['headscale', 'json', 'policy']);
  });

  test('every script has every command', async () => {
    const program = await createProgram([]);
    for (const shell of ['bash', 'zsh', 'fish']) {
      const text = readFileSync(await scriptFor(shell), 'utf8');
      for (const command of program.commands) assert.ok(text.includes(`towpath ${command.name()}`), command.name());
    }
  });
});

test('deploy/man/towpath.1 is up to date: npm run docs:man', async () => {
  assert.equal(readFileSync(DOCUMENT, 'utf8'), await manPage());
});
