import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { configKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { nearest } from '../../src/config/nearest.ts';
import { configurationDocs, DOCUMENT } from '../../scripts/generate-configuration-docs.ts';

describe('the schema', () => {
  it('describes every key in whole sentences', () => {
    for (const { path, help, allowed } of configKeys.values()) {
      assert.match(help, /^[A-Z].*\.$|^[a-z-]+ .*\.$/s, path);
      assert.notEqual(allowed, '', path);
    }
  });

  it('gives no two keys the same flag or variable', () => {
    const flags = [...configKeys.values()].map((key) => key.flagName).filter((name) => name !== null);
    const names = [...configKeys.values()].flatMap((key) => key.envNames);
    assert.equal(new Set(flags).size, flags.length);
    assert.equal(new Set(names).size, names.length);
  });

  it('states defaults that it accepts, and that are its defaults', () => {
    const flags = Object.fromEntries(
      [...configKeys.values()].flatMap((key) => (key.initial === undefined ? [] : [[key.path, key.initial]])),
    );
    assert.deepEqual(loadConfig({ flags }).config, loadConfig({}).config);
  });

  it('has a unit in the name of every size and time', () => {
    const unitless = [...configKeys.values()].filter(({ allowed, path }) => {
      const unit = /whole number of (\w+)/.exec(allowed)?.[1];
      const ending = { milliseconds: 'Ms', seconds: 'Seconds', days: 'Days', bytes: 'Bytes' }[unit ?? ''];
      return ending !== undefined && !path.toLowerCase().includes(ending.toLowerCase());
    });
    assert.deepEqual(unitless, []);
  });
});

describe('the JSON Schema', () => {
  const schema = configJsonSchema();

  it('refuses unknown keys and describes known ones', () => {
    assert.equal(schema.additionalProperties, false);
    const listen = schema.properties?.['listen'];
    assert.ok(typeof listen === 'object');
    assert.equal(listen.default, '[::]:443');
    assert.match(listen.description ?? '', /TLS/);
  });

  it('knows the short form of stun', () => {
    const stun = schema.properties?.['stun'];
    assert.ok(typeof stun === 'object');
    assert.equal(stun.anyOf?.length, 2);
  });
});

it('docs/configuration.md is up to date: run "npm run docs:configuration"', () => {
  assert.equal(readFileSync(DOCUMENT, 'utf8'), configurationDocs());
});

it('the development configuration is right', () => {
  const file = new URL('../../deploy/development.yaml', import.meta.url).pathname;
  const { config } = loadConfig({ file });
  assert.equal(config.listen[0]?.port, 8443);
  assert.match(config.keyFile, /\/certs\/derper\.key$/);
});

describe('nearest', () => {
  const names = ['listen', 'keyFile', 'http', 'home', 'limits'];
  it('finds a slip of the finger', () => assert.equal(nearest('lisetn', names), 'listen'));
  it('overlooks case and separators', () => assert.equal(nearest('KEY_FILE', names), 'keyFile'));
  it('finds nothing for a word that is far off', () => assert.equal(nearest('elephant', names), undefined));
});
