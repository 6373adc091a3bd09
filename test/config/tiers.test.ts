import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { TowpathError } from '../../src/base/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'towpath-config-'));
after(() => rmSync(directory, { recursive: true }));

function write(content: string): string {
  const file = join(directory, 'towpath.yaml');
  writeFileSync(file, content);
  return file;
}

/** Returns the error message for a file. */
function refusal(content: string): string {
  try {
    loadConfig({ file: write(content) });
  } catch (error) {
    assert.ok(error instanceof TowpathError);
    return error.message;
  }
  assert.fail('the configuration was accepted');
}

describe('tiers', () => {
  const base = 'admission:\n  sources:\n    - kind: keys\n      name: owners\n      allowFile: a.keys\n';

  it('name admission sources', () => {
    const { config } = loadConfig({
      file: write(`${base}fairness:\n  tiers:\n    - sources: owners\n      weight: 4\n`),
    });
    const [tier, ...others] = config.fairness.tiers;
    assert.deepEqual([tier?.name, tier?.sources, tier?.weight, others], ['owners', ['owners'], 4, []]);
    assert.deepEqual([tier?.bytesPerDay, tier?.bytesPerSecond, tier?.overQuota], [0, undefined, 'floor']);
  });

  it('are refused when the source does not exist', () => {
    assert.match(
      refusal(`${base}fairness:\n  tiers:\n    - sources: [others]\n      weight: 4\n`),
      /fairness: tiers: others is not one of admission\.sources; they are owners/,
    );
  });

  it('are refused with the line of the entry and what is allowed', () => {
    const text = refusal(`${base}fairness:\n  tiers:\n    - sources: [owners]\n      weight: 0\n`);
    assert.match(text, /towpath\.yaml:8.*fairness\.tiers\[0\].*weight: found 0; allowed: .*from 1 to 100/);
  });

  const wrong: [string, RegExp][] = [
    ['- labels: a\n      weigth: 1', /weigth: unknown key; did you mean weight\?/],
    ['- keys: nodekey:12', /keys: found "nodekey:12"; allowed: a list of node keys/],
    ['- labels: a\n    - labels: a', /name: a is taken; give this tier a name of its own/],
    ['- weight: 2\n    - labels: a', /is never used, because everyone before it is for everyone/],
    ['- labels: a\n      overQuota: stop', /overQuota: found "stop"; allowed: one of floor, refuse/],
  ];
  for (const [tiers, message] of wrong) {
    it(`are refused when they are wrong: ${tiers.replaceAll(/\s+/g, ' ')}`, () => {
      assert.match(refusal(`fairness:\n  tiers:\n    ${tiers}\n`), message);
    });
  }
});
