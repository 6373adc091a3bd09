import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TowpathError } from '../../src/base/errors.ts';
import { parsePlainYaml } from '../../src/derp-map/plain-yaml.ts';

describe('parsePlainYaml', () => {
  const refused = (text: string): string => {
    try {
      parsePlainYaml(text);
    } catch (error) {
      assert.ok(error instanceof TowpathError, String(error));
      return error.message;
    }
    return assert.fail(`accepted: ${text.slice(0, 40)}`);
  };

  it('JSON is YAML', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        assert.deepEqual(parsePlainYaml(JSON.stringify(value)), JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('reads what Headscale reads, with comments and Windows line ends', () => {
    const text = 'regions: # ours\r\n  900:\r\n    regionid: 900 # the same\r\n    nodes:\r\n      - name: a\r\n';
    assert.deepEqual(parsePlainYaml(text), { regions: { 900: { regionid: 900, nodes: [{ name: 'a' }] } } });
    assert.deepEqual(parsePlainYaml('a: &x 1\nb: *x\n'), { a: 1, b: 1 });
  });

  it('refuses what can be read in two ways, with the line', () => {
    assert.equal(refused('a: 1\nb: 2\na: 3\n'), 'line 3: the key "a" is there twice');
    assert.match(refused('? [a]\n: 1\n'), /^line 1: a key must be a scalar/);
    assert.match(refused('a: &x {b: 1}\nc: *x\n'), /^line 2: aliases/);
    assert.match(refused('a: *x\n'), /^line 1/);
  });

  it('has an end with anything', () => {
    const hostile = [
      '? '.repeat(40),
      '? '.repeat(20_000),
      '['.repeat(20_000),
      '- '.repeat(20_000),
      '{a: '.repeat(5000),
    ];
    for (const text of hostile) refused(text);
    refused('a'.repeat(600_000));
  });
});
