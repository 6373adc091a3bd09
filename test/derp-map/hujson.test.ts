import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TowpathError } from '../../src/base/errors.ts';
import { huJsonStart, parseHuJson } from '../../src/derp-map/hujson.ts';

/** Text that is allowed between two parts of JSON: space and comments. */
const between = fc
  .array(
    fc.oneof(
      fc.constantFrom('', ' ', '\t', '\n', '\r\n', '/**/', '/* " { , // */', '// " } ]\n', '//\r\n', '/* *\n/ **/'),
      fc
        .string({ unit: 'binary' })
        .filter((text) => !/[\r\n]/.test(text))
        .map((text) => `//${text}\n`),
      fc
        .string({ unit: 'binary' })
        .filter((text) => !text.includes('*/') && !text.endsWith('*'))
        .map((text) => `/*${text}*/`),
    ),
    { maxLength: 3 },
  )
  .map((parts) => parts.join(''));

/** Splits JSON text where space is allowed. */
function partsOf(json: string): string[] {
  return json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
}

function problemOf(text: string): string {
  try {
    parseHuJson(text);
  } catch (error) {
    assert.ok(error instanceof TowpathError);
    return error.message;
  }
  return assert.fail(`accepted: ${text}`);
}

describe('parseHuJson', () => {
  it('comments and commas anywhere change nothing', () => {
    const insertions = fc.infiniteStream(fc.tuple(between, fc.boolean()));
    fc.assert(
      fc.property(fc.json(), insertions, (json, stream) => {
        let text = '';
        let last = '';
        for (const part of partsOf(json)) {
          const [space, comma] = stream.next().value as [string, boolean];
          const isEnd = part === '}' || part === ']';
          // A comma needs an element before it.
          const isTrailing = comma && isEnd && last !== '{' && last !== '[';
          text += `${isTrailing ? ',' : ''}${space}${part}`;
          last = part;
        }
        text += (stream.next().value as [string, boolean])[0];
        assert.deepEqual(parseHuJson(text), JSON.parse(json));
      }),
      { numRuns: 500 },
    );
  });

  it('JSON means what JSON.parse says, and what is none is refused', () => {
    const damaged = fc
      .tuple(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', '[', '0', '-', '\\', '\u0000', "'", '#', 'x', '\uFEFF'),
      )
      .map(
        ([json, at, junk]) => json.slice(0, at % (json.length + 1)) + junk + json.slice((at % (json.length + 1)) + 1),
      );
    fc.assert(
      fc.property(damaged, (text) => {
        let wanted: unknown;
        try {
          wanted = JSON.parse(text);
        } catch {
          // HuJSON also allows a comma after the last element.
          if (!/,\s*[}\]]/.test(text)) problemOf(text);
          return;
        }
        try {
          assert.deepEqual(parseHuJson(text), wanted);
        } catch (error) {
          assert.match(error instanceof TowpathError ? error.message : String(error), /twice/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('says where something is wrong', () => {
    assert.equal(problemOf('{\n  "a": 1\n  "b": 2\n}'), 'line 3, column 3: comma expected');
    assert.match(problemOf('{"a": 1} x'), /^line 1, column 10: /);
    assert.match(problemOf('{"a": 1,, "b": 2}'), /^line 1, column 9: /);
    assert.match(problemOf('{,}'), /^line 1, column 2: /);
    assert.match(problemOf('{"a": 01}'), /^line 1/);
    assert.match(problemOf('{"a": /* never\nended'), /unexpected end of comment/);
    assert.match(problemOf(''), /^line 1/);
    assert.match(problemOf('{"a": "\u0001"}'), /invalid character/);
  });

  it('refuses what can be read in two ways', () => {
    assert.equal(problemOf('{"a": 1,\n"a": 2}'), 'line 2, column 1: the key "a" is there twice');
    assert.match(problemOf('{// x\r"a": 1\n}'), /carriage return alone/);
    assert.deepEqual(parseHuJson('[{"a": 1}, {"a": 2}]'), [{ a: 1 }, { a: 2 }]);
  });

  it('__proto__ is a key like others', () => {
    const parsed = parseHuJson('{"__proto__": {"a": 1}}') as object;
    assert.deepEqual([Object.keys(parsed), 'a' in parsed], [['__proto__'], false]);
  });

  it('has an end with what is nested too deep', () => {
    for (const text of ['['.repeat(1_000_000), '{"a":'.repeat(200_000)])
      assert.match(problemOf(text), /more than 256 deep/);
    assert.deepEqual(parseHuJson('['.repeat(256) + ']'.repeat(256)), JSON.parse('['.repeat(256) + ']'.repeat(256)));
  });

  it('sees how text begins behind comments', () => {
    for (const text of ['{"a":1}', '{}', ' // x\n/* y */ {\n/* z */ "a":1}'])
      assert.equal(huJsonStart(text), 'value', text);
    for (const text of ['"a": {}', '// note\n"a": /* */ {']) assert.equal(huJsonStart(text), 'members', text);
    for (const text of ['a: 1', '"a":\n  b: 1', '{a: 1}', '', '# x', '---\na: 1', '[1]'])
      assert.equal(huJsonStart(text), null, text);
  });
});
