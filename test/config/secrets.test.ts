import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { admissionSourceKinds } from '../../src/config/schema/admission-sources.ts';
import { keyMeta, sectionMeta } from '../../src/config/schema/fields.ts';
import { loadConfig, type ConfigSources } from '../../src/config/load.ts';
import { printJson, printYaml } from '../../src/config/print.ts';

/** All that a person sees of a configuration, whether it is good or not. */
function shown(sources: ConfigSources): string {
  try {
    const loaded = loadConfig(sources);
    return printYaml(loaded) + printJson(loaded);
  } catch (error) {
    const { message, hint = '', stack = '' } = error as Error & { hint?: string };
    return message + hint + stack;
  }
}

/** `webhook.token` and the like: every secret of every kind of source. */
const secretKeys = Object.entries(admissionSourceKinds).flatMap(([kind, schema]) =>
  Object.entries(sectionMeta.get(schema)!.shape)
    .filter(([, key]) => keyMeta.get(key)?.secret === true)
    .map(([name]) => [kind, name] as const),
);

const secret = fc.stringMatching(/^[A-Za-z0-9]{5,20}$/).map((text) => `S3cr3t${text}`);

describe('no secret is ever shown', () => {
  const directory = mkdtempSync(join(tmpdir(), 'towpath-secrets-'));
  after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'towpath.yaml');

  it('knows the secrets of the schema', () => {
    assert.deepEqual(secretKeys.map((key) => key.join('.')).sort(), [
      'headscale.apiKey',
      'tailscale-api.apiKey',
      'tailscale-api.clientSecret',
      'webhook.token',
    ]);
  });

  it('when it is written where a reference belongs, in whatever form', () => {
    const wrap = fc.constantFrom<(text: string) => unknown>(
      (text) => text,
      (text) => ` ${text}`,
      (text) => `env:${text}-`,
      (text) => `env: ${text}`,
      (text) => [text],
      (text) => ({ value: text }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...secretKeys), secret, wrap, ([kind, name], text, write) => {
        const sources = [{ kind, [name]: write(text), url: 'https://x.example' }];
        const json = JSON.stringify(sources);
        writeFileSync(file, JSON.stringify({ admission: { sources } }));
        for (const given of [{ file }, { env: { TOWPATH_ADMISSION_SOURCES: json } }]) {
          assert.ok(!shown(given).includes(text), shown(given));
        }
        // Cut off, so that it is no JSON.
        assert.ok(!shown({ env: { TOWPATH_ADMISSION_SOURCES: json.slice(0, -1) } }).includes(text));
      }),
    );
  });

  it('when it is part of a URL, good or bad', () => {
    const urls = fc.constantFrom<(text: string) => string>(
      (text) => `https://user:${text}@x.example/a`,
      (text) => `https://${text}@x.example/a`,
      (text) => `ftp://x.example/?token=${text}`,
      (text) => `https://x.example/verify?token=${text}`,
      (text) => `https://x.example/verify?a=1&token=${text}#x`,
      (text) => `https://user:p@${text}@x.example/?${text}`,
    );
    const keys = fc.constantFrom(
      ['webhook', 'url'],
      ['headscale', 'url'],
      ['tailscale-api', 'baseUrl'],
      ['home', 'url'],
      ['certificate.acme', 'directory'],
    );
    fc.assert(
      fc.property(keys, secret, urls, ([place, name], text, write) => {
        const url = write(text);
        const isSource = place in admissionSourceKinds;
        const env: Record<string, string> = isSource
          ? { TOWPATH_ADMISSION_SOURCES: JSON.stringify([{ kind: place, [name]: url, apiKeyFile: '/x' }]) }
          : { [place === 'home' ? 'TOWPATH_HOME_URL' : 'TOWPATH_CERTIFICATE_ACME_DIRECTORY']: url };
        assert.ok(!shown({ env }).includes(text), shown({ env }));
      }),
    );
  });

  it('when the file is not even YAML', () => {
    const broken = fc.constantFrom<(text: string) => string>(
      (text) => `token: *${text}\n`,
      (text) => `token: !${text} x\n`,
      (text) => `token: "${text}\nx: 1\n`,
      (text) => `a: [1, 2\ntoken: ${text}\n`,
      (text) => `{a: 1} ${text}\n`,
      (text) => `a: 1\n\t${text}: @${text}\n`,
      (text) => `a: 'x' ${text}\n`,
      (text) => `%${text}\n---\na: \`${text}\n`,
    );
    fc.assert(
      fc.property(secret, broken, (text, write) => {
        writeFileSync(file, write(text));
        assert.ok(!shown({ file }).includes(text), shown({ file }));
      }),
    );
  });
});
