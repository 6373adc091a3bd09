import { describe, it } from 'node:test';
import { PARSER_CASES } from '../../bench/parsers/cases.ts';

/** A parser that reads each byte once needs milliseconds; one that reads each pair of bytes needs minutes. */
const BYTES = 1024 * 1024;

describe('megabytes of hostile input', () => {
  for (const { title, prepare } of PARSER_CASES) {
    it(title, () => {
      prepare(BYTES)();
    });
  }
});
