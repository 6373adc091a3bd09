import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Input } from './input.ts';

const FILE = path.join(import.meta.dirname, 'corpus.jsonl');

/** Reads the kept inputs: interesting ones, and ones that found a bug. */
export function readCorpus(): readonly Input[] {
  const lines = readFileSync(FILE, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Input);
}
