import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { configKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { printJson, printYaml, showValue } from '../../src/config/print.ts';

const loaded = loadConfig({
  env: { TOWPATH_HTTP: 'off', TOWPATH_HOSTNAME: 'derp.example.com' },
  flags: { listen: ['127.0.0.1:1', '[::1]:2'], 'admin.listen': 'off', selfTest: false },
});

it('prints values as one writes them, with their origin', () => {
  const lines = printYaml(loaded).split('\n');
  assert.equal(lines[0], 'listen: ["127.0.0.1:1","[::1]:2"] # flag --listen');
  assert.ok(lines.includes('http: "off" # env TOWPATH_HTTP'));
  assert.ok(lines.includes('selfTest: false # flag --no-self-test'));
  assert.ok(lines.includes('# derpPort: not set'));
  assert.ok(lines.includes('  level: "info" # default'));
});

it('prints what can be loaded again', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'towpath-print-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'towpath.yaml');
  writeFileSync(file, printYaml(loaded));
  assert.deepEqual(loadConfig({ file }).config, loaded.config);
});

it('prints JSON with value and origin of every key', () => {
  const printed = JSON.parse(printJson(loaded)) as Record<string, unknown>;
  assert.deepEqual(printed['listen'], { value: ['127.0.0.1:1', '[::1]:2'], origin: 'flag --listen' });
  assert.deepEqual(printed['admin.listen'], { value: 'off', origin: 'flag --admin' });
  assert.deepEqual(printed['derpPort'], { value: null, origin: 'default' });
});

it('never prints a secret, not even its length', () => {
  const key = { ...configKeys.get('hostname')!, secret: true };
  assert.equal(showValue(key, 'hunter2'), '********');
  assert.equal(showValue(key, undefined), undefined);
});
