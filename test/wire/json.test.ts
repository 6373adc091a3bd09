import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseForeignJson, RepeatedKeyError } from '../../src/wire/json.ts';

const parse = (text: string, decisive: readonly string[] = []): unknown =>
  parseForeignJson(Buffer.from(text), decisive);

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

  it('refuses a decisive key that one object has twice, in any spelling', () => {
    const refused: readonly string[] = [
      '{"Allow":false,"Allow":true}',
      '{"Allow":true,"allow":false}',
      '{"ALLOW" \r\n\t: true, "aLLOW":true}',
      String.raw`{"Allow":false,"\u0041\u006c\u006C\u006f\u0077":true}`,
      '{"a":[{"x":{}},{"y":"}","Allow":{"Allow":1},"b":[],"allow":2}]}',
      String.raw`{"\"":"\\","Allow":"\"","allow":0}`,
    ];
    for (const text of refused)
      assert.throws(() => parse(text, ['nodeKey', 'Allow']), /the key "Allow" is there twice/);
    // Go compares names like this: the Kelvin sign is a k, and the long s is an s.
    assert.throws(() => parse('{"nodeKey":1,"node\u212aey":2}', ['nodeKey']), RepeatedKeyError);
    assert.throws(() => parse(String.raw`{"expires":1,"expire\u017f":2}`, ['expires']), RepeatedKeyError);
  });

  it('takes a decisive key once in each object, texts that look like it, and other keys as often as they come', () => {
    const taken: readonly string[] = [
      '{"Allow":{"Allow":[{"Allow":1},{"allow":2}]},"b":"Allow"}',
      '{"x":"Allow","y":["Allow","Allow"],"Allow":"\\":,Allow\\""}',
      '{"b":1,"b":2,"B":3,"allowed":1,"allowed":2,"Allow":1}',
      '"Allow"',
      '[]',
    ];
    for (const text of taken) assert.deepEqual(parse(text, ['Allow']), JSON.parse(text));
  });

  it('finds a repeated key as a search of every object does', () => {
    // Not a backslash at the end of a key: V8 (Node 24.21, 26.10) then reads the key "\"" of the next object as that one.
    const key = fc.constantFrom('Allow', 'allow', 'ALLOW', 'b', 'B', '"', '\\x', '{', 'Allow":');
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<Tree>('Allow', '}', ':', '\\"', 'x'),
        fc.array(tie('tree'), { maxLength: 3 }).map((items) => ({ items })),
        fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }).map((entries) => ({ entries })),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.constantFrom('', ' ', '\n\t'), (value, space) => {
        const text = written(value, space);
        if (hasTwice(value)) assert.throws(() => parse(text, ['Allow']), RepeatedKeyError);
        else assert.deepEqual(parse(text, ['Allow']), JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what is no JSON', () => {
    for (const text of ['', ']]]', '"', '"\\', '[1,]', '\u{feff}{}']) assert.throws(() => parse(text), SyntaxError);
  });
});

/** A JSON value whose objects may have a key twice. */
type Tree = string | { readonly items: readonly Tree[] } | { readonly entries: readonly (readonly [string, Tree])[] };

function written(tree: Tree, space: string): string {
  if (typeof tree === 'string') return JSON.stringify(tree);
  if ('items' in tree) return `[${space}${tree.items.map((item) => written(item, space)).join(`${space},`)}]`;
  const entries = tree.entries.map(([key, value]) => `${JSON.stringify(key)}${space}:${space}${written(value, space)}`);
  return `{${space}${entries.join(`,${space}`)}${space}}`;
}

function hasTwice(tree: Tree): boolean {
  if (typeof tree === 'string') return false;
  if ('items' in tree) return tree.items.some(hasTwice);
  const named = tree.entries.filter(([key]) => key.toLowerCase() === 'allow').length;
  return named > 1 || tree.entries.some(([, value]) => hasTwice(value));
}
