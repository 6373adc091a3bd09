import { readFileSync } from 'node:fs';
import path from 'node:path';

const FILE = path.join(import.meta.dirname, 'corpus.jsonl');

/** A kept input: it once found a bug, or few seeds make it. */
interface KeptInput {
  readonly target: string;
  /** A description for people. */
  readonly name: string;
  readonly hex: string;
  /** Seed for all values that are not in the bytes. */
  readonly seed: number;
}

/** Reads the inputs that are fed first in each run. The file has one JSON object a line. */
export function readCorpus(): readonly KeptInput[] {
  const lines = readFileSync(FILE, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as KeptInput);
}
