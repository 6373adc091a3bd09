import { readFileSync } from 'node:fs';
import path from 'node:path';

const FILE = path.join(import.meta.dirname, 'corpus.jsonl');

/** An input that is kept: one that once found something, or that few seeds reach. */
interface KeptInput {
  readonly target: string;
  /** What it is, for people. */
  readonly name: string;
  readonly hex: string;
  /** Decides whatever the bytes do not. */
  readonly seed: number;
}

/** The inputs that are played first each time. One JSON object a line. */
export function readCorpus(): readonly KeptInput[] {
  const lines = readFileSync(FILE, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as KeptInput);
}
