import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parse as parseYaml } from 'yaml';
import { errorMessage } from '../../src/base/errors.ts';
import { printable, printableJson, printableLines } from '../../src/base/printable.ts';
import { formatDerpMap } from '../../src/derp-map/derp-map-text.ts';
import { parseDerpMap } from '../../src/derp-map/derp-map.ts';

/** Every code point that can control a terminal, as numbers and not by the Unicode property that the filter uses. */
const OBEYED: readonly number[] = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, offset) => 0x7f + offset),
  ...[0xad, 0x061c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2060, 0xfeff, 0xe000, 0xe0001],
  ...[0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0xfff9, 0xe0041, 0xd800, 0xdfff],
];
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom(...OBEYED, 0x41, 0x5c, 0x22, 0x1f600)).map((codes) => String.fromCodePoint(...codes)),
);

function obeyed(shown: string): string[] {
  const codes = Array.from(shown, (character) => character.codePointAt(0)!);
  return codes.filter((code) => OBEYED.includes(code)).map((code) => code.toString(16));
}

describe('printable', () => {
  it('escapes what a terminal obeys, and says which character it was', () => {
    for (const code of OBEYED.filter((each) => each < 0x10000)) {
      const escape = `\\u${code.toString(16).padStart(4, '0')}`;
      assert.equal(printable(`a${String.fromCharCode(code)}b`), `a${escape}b`);
    }
    assert.equal(printable('\u{e0001}'), '\\udb40\\udc01');
    assert.equal(printable('\u001b[2J\u009b31m\u202egood'), '\\u001b[2J\\u009b31m\\u202egood');
  });

  it('leaves letters, accents, signs and emoji alone', () => {
    const plain = 'Zürich 東京 Москва עברית العربية é 🚀 ✓ → … “x” ~';
    assert.equal(printable(plain), plain);
    assert.equal(printableLines(`${plain}\n${plain}`), `${plain}\n${plain}`);
  });

  it('any text: nothing is left, and a second time changes nothing', () => {
    fc.assert(
      fc.property(text, (foreign) => {
        const shown = printable(foreign);
        assert.deepEqual(obeyed(shown), []);
        assert.equal(printable(shown), shown);
        assert.equal(printableLines(`${shown}\n`), `${shown}\n`);
      }),
    );
  });

  it('JSON and YAML still mean the same', () => {
    fc.assert(
      fc.property(text, (foreign) => {
        const value = { [foreign]: [foreign] };
        const json = printableJson(value);
        assert.deepEqual(obeyed(json.replaceAll('\n', '')), []);
        assert.deepEqual(JSON.parse(json), value);
      }),
    );
    const RegionName = 'a\u009b\u202e\u2028\u{e0001}"\\\n';
    const map = parseDerpMap({ Regions: { 1: { RegionID: 1, RegionName } } });
    for (const format of ['json', 'headscale'] as const) {
      const shown = formatDerpMap(map, format, ['note \u001b[2J\nline']);
      assert.deepEqual(obeyed(shown.replaceAll('\n', '')), [], format);
      assert.deepEqual(parseDerpMap(parseYaml(shown)), map, format);
    }
  });

  it('the message of an error has none of it', () => {
    assert.equal(errorMessage(new Error('a\r\n b\u001b[31m')), 'a b\\u001b[31m');
  });
});
