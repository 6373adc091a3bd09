import { describe, it } from 'node:test';
import { PARSER_CASES } from '../../bench/parsers/cases.ts';

/** Milliseconds for a parser that looks at each byte once, minutes and more for one that does so at each pair of bytes. */
const BYTES = 2 * 1024 * 1024;

describe('megabytes of hostile input', () => {
  for (const { title, prepare } of PARSER_CASES) {
    it(title, () => {
      prepare(BYTES)();
    });
  }
});
