import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '..');
/** What is read by users and contributors. docs/style.md gives the reasons. */
const WHERE = ['src', 'docs', 'examples', 'deploy', '*.md', ':!docs/style.md'];

/** Phrases that are hard to read for people whose first language is not English, and what to write instead. */
const HABITS: readonly (readonly [RegExp, string])[] = [
  [/\bmend(?:s|ed|ing)?\b/i, 'fix'],
  [/\bcan(?:not)? be had\b/i, 'cannot be opened, read or reached'],
  [/\bin words\b(?! \d)/i, 'as text, or name the text'],
  [/\bwho asks\b/i, 'the client'],
  [/\bso many\b/i, 'the number itself, or "this many"'],
  [/\bthe way to (?:end|remove|undo|stop)\b/i, 'returns a function that …'],
  [/\bfor want of\b/i, 'without, or because there is no …'],
  [/\bc(?:o|a)mes? about\b/i, 'happens, succeeds, is computed'],
  [/\bwhoever\b/i, 'the client, the program, the operator'],
];

test('texts and comments are in plain English', () => {
  const found: string[] = [];
  for (const file of execFileSync('git', ['ls-files', '--', ...WHERE], { cwd: ROOT, encoding: 'utf8' }).split('\n')) {
    if (!/\.(?:ts|md|yaml|conf|cfg|service|socket)$/.test(file)) continue;
    const lines = readFileSync(path.join(ROOT, file), 'utf8').split('\n');
    for (const [i, line] of lines.entries()) {
      for (const [habit, better] of HABITS) {
        if (habit.test(line)) found.push(`${file}:${i + 1}: "${habit.exec(line)![0]}": write ${better}`);
      }
    }
  }
  assert.deepEqual(found, []);
});
