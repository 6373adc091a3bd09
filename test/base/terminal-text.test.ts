import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { cutToWidth, wrapWords } from '../../src/base/terminal-text.ts';

suite('text for terminals', () => {
  test('a line that is rewritten leaves the last column free', () => {
    assert.equal(cutToWidth('0123456789', 11), '0123456789');
    assert.equal(cutToWidth('0123456789', 10), '01234567…');
    assert.equal(cutToWidth('0123456789', undefined), '0123456789');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), fc.integer({ min: 2, max: 200 }), (text, columns) => {
        assert.ok(cutToWidth(text, columns).length < columns);
      }),
    );
  });

  test('words are kept whole, in order, and no line is too long that could be shorter', () => {
    assert.equal(wrapWords('one two three four five six', 30, 10), 'one two three four\n          five six');
    assert.equal(wrapWords('one two three', 25, 10), 'one two three', 'too narrow to be read');
    assert.equal(wrapWords('one\ntwo', 80, 2), 'one\n  two');
    const word = fc.stringMatching(/^[a-z]{1,30}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), fc.integer({ min: 20, max: 90 }), (words, columns) => {
        const lines = wrapWords(words.join(' '), columns).split('\n');
        assert.deepEqual(
          lines.flatMap((line) => line.split(' ')),
          words,
        );
        for (const line of lines) assert.ok(line.length <= columns || !line.includes(' '), line);
      }),
    );
  });
});
