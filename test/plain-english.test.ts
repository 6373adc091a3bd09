import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '..');
/** The files that users and contributors read. docs/style.md has the rules. */
const WHERE = ['src', 'page', 'docs', 'examples', 'deploy', '*.md', ':!docs/style.md', ':!docs/reference'];

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
  [/\b(?:some|any)body\b/i, 'a person, another process, any client'],
  [/\b(?:by|from|of|than) who\b/i, 'the client, the program, the operator'],
  [/(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b|later\b|one\b|reason\b|way\b)/i, 'is not a …'],
  [/\bfor so long\b/i, 'for this time'],
  [/\bfor good\b/i, 'permanently'],
  [/\bdearer?\b/i, 'expensive'],
  [/\bgoodbye\b/i, 'in order, or with a reset'],
  [/\bin the place of\b/i, 'instead of'],
  [/\bbecomes of\b/i, 'the result of'],
  [/\bbeside\b/i, 'next to, in addition to'],
  [/\btroubles?\b/i, 'problem'],
  [/\b(?:can|could)(?:not)? be told\b/i, 'is unknown, or cannot be distinguished'],
  [/\bone behind the other\b/i, 'in order'],
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
