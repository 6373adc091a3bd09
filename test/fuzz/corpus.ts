import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Input } from './input.ts';

const FILE = path.join(import.meta.dirname, 'corpus.jsonl');

/** The inputs that are kept: interesting ones, and those that once found something. One JSON object a line. */
export function readCorpus(): readonly Input[] {
  const lines = readFileSync(FILE, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Input);
}
