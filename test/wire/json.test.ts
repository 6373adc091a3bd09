import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseForeignJson } from '../../src/wire/json.ts';

const parse = (text: string): unknown => parseForeignJson(Buffer.from(text));

describe('parseForeignJson', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 8 }), (text) => assert.deepEqual(parse(text), JSON.parse(text))));
  });

  it('does not count brackets in strings, nor those that are closed', () => {
    const text = JSON.stringify([`"${'[{'.repeat(1000)}\\`, ...Array.from({ length: 1000 }, () => [{}])]);
    assert.deepEqual(parse(text), JSON.parse(text));
  });

  it('refuses what is nested more than 10,000 deep, and nothing less', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    assert.doesNotThrow(() => parse(nested(10_000)));
    for (const text of [nested(10_001), '{"a":'.repeat(10_001), '[{"a":'.repeat(200_000)]) {
      assert.throws(() => parse(text), /nested more than 10000 deep/);
    }
  });

  it('refuses what is no JSON', () => {
    for (const text of ['', ']]]', '"', '"\\', '[1,]', '\u{feff}{}']) assert.throws(() => parse(text), SyntaxError);
  });
});
