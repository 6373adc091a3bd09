import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { printYaml } from '../../src/config/print.ts';
import { admissionSourceKinds } from '../../src/config/schema/admission-sources.ts';
import { sectionMeta } from '../../src/config/schema/fields.ts';
import { scratch } from './support.ts';

const GUIDE = readFileSync(new URL('../../docs/admission.md', import.meta.url), 'utf8');

describe('admission in the configuration', () => {
  const directory = scratch();
  const load = (text: string): LoadedConfig => {
    const file = join(directory.path, 'towpath.yaml');
    writeFileSync(file, text);
    return loadConfig({ file });
  };
  const sources = (...lines: string[]) => `admission:\n  sources:\n${lines.map((line) => `    - ${line}\n`).join('')}`;

  it('takes off what people copy along with the address of a server', () => {
    const bases = { headscale: 'url', 'tailscale-api': 'baseUrl' } as const;
    const endings = ['', '/', '//', '/verify', '/verify/', '/Verify', '/verify/verify', '/api', '/api/v1', '/api/v1/'];
    endings.push('/api/v1/node', '/api/v2', '/api/v2/tailnet/-/devices');
    for (const [kind, name] of Object.entries(bases)) {
      for (const base of ['https://hs.example.com', 'http://hs.example.com:8080/headscale', 'https://[2001:db8::1]']) {
        for (const ending of endings) {
          const { config } = load(sources(`{ kind: ${kind}, apiKey: env:K, ${name}: '${base}${ending}' }`));
          const [source] = config.admission.sources;
          assert.equal((source as unknown as Record<string, string>)[name], base, ending);
        }
        for (const more of ['?a=b', '#a', '/verify?key=1']) {
          const text = sources(`{ kind: ${kind}, apiKey: env:K, ${name}: '${base}${more}' }`);
          assert.throws(() => load(text), /without anything behind \? or #/);
        }
      }
    }
  });

  it('leaves the address of a web service as it is', () => {
    for (const url of ['https://x.example/verify', 'https://x.example/verify/', 'https://x.example/api/v1?a=b']) {
      const [source] = load(sources(`{ kind: webhook, url: '${url}' }`)).config.admission.sources;
      assert.ok(source?.kind === 'webhook' && source.url === url);
    }
  });

  it('reads every kind, with its defaults and with paths from the directory of the file', () => {
    const { config } = load(
      sources(
        '{ kind: keys, allowFile: allow.txt }',
        '{ kind: tailscale-api, apiKey: env:KEY }',
        '{ kind: headscale, url: https://hs.example.com }',
        '{ kind: headscale, name: second, url: https://hs.example.com, apiKeyFile: /k }',
        '{ kind: webhook, url: https://example.com/verify }',
        '{ kind: tailscaled }',
      ),
    );
    const found = config.admission.sources;
    assert.deepEqual(
      found.map(({ name }) => name),
      ['keys', 'tailscale-api', 'headscale', 'second', 'webhook', 'tailscaled'],
    );
    const [keys, , verify, api] = found;
    assert.ok(keys?.kind === 'keys' && keys.allowFile === join(directory.path, 'allow.txt'));
    assert.ok(verify?.kind === 'headscale' && verify.mode === 'verify');
    assert.ok(api?.kind === 'headscale' && api.mode === 'api');
    assert.ok(found.every((source) => source.kind === 'keys' || !source.failOpen));
  });

  const refusals: [string, string, RegExp][] = [
    [
      'an unknown kind',
      sources('{ kind: ldap }'),
      /:3: admission\.sources\[0\]: kind: found "ldap"; allowed: one of keys, tailscale-api/,
    ],
    ['no kind', sources('{ name: x }'), /kind: is missing/],
    ['a slip in a name', sources('{ kind: keys, allowfile: x }'), /allowfile: unknown key; did you mean allowFile\?/],
    [
      'a value of another type',
      sources('{ kind: tailscaled, refreshSeconds: often }'),
      /refreshSeconds: found "often"; allowed: a whole number of seconds from 1/,
    ],
    ['keys without a file', sources('{ kind: keys }'), /allowFile, denyFile or both are needed/],
    [
      'a password in a URL',
      sources('{ kind: webhook, url: "https://me:pw@x/" }'),
      /allowed: .*without user and password/,
    ],
    ['an API without a key', sources('{ kind: tailscale-api }'), /apiKey: is missing: apiKey or apiKeyFile is needed/],
    [
      'two ways to log in',
      sources('{ kind: tailscale-api, apiKey: env:A, clientId: b, clientSecret: env:B }'),
      /clientId: cannot be used together with an API key/,
    ],
    ['an OAuth client without its secret', sources('{ kind: tailscale-api, clientId: b }'), /clientSecret: is missing/],
    [
      'two places for one secret',
      sources('{ kind: webhook, url: http://x, token: env:A, tokenFile: b }'),
      /tokenFile: cannot be used together with token/,
    ],
    [
      'a key that is not used',
      sources('{ kind: headscale, url: http://x, mode: verify, apiKey: env:A }'),
      /apiKey: cannot be used with mode verify/,
    ],
    [
      'one name twice',
      sources('{ kind: tailscaled }', '{ kind: tailscaled, socket: /s }'),
      /:4: admission\.sources\[1\]: name: tailscaled is taken/,
    ],
    ['a name that means something else', sources('{ kind: tailscaled, name: all }'), /name: all is taken/],
    ['deny lists alone', sources('{ kind: keys, denyFile: d }'), /with only deny lists, no client is admitted/],
    [
      'open beside sources that admit',
      `${sources('{ kind: tailscaled }')}  open: true\n`,
      /admission\.open: found true; allowed: false/,
    ],
    ['no list', 'admission: { sources: keys }', /found string; allowed: a list of sources/],
  ];
  for (const [name, text, message] of refusals) {
    it(`refuses ${name}`, () => assert.throws(() => load(text), { code: 'TOWPATH_CONFIG_INVALID', message }));
  }

  it('refuses a secret in the file, and does not repeat it', () => {
    assert.throws(
      () => load(sources('{ kind: tailscale-api, apiKey: tskey-api-secret }')),
      (error: Error) =>
        error.message.includes('apiKey: found a value that does not fit') && !error.message.includes('tskey'),
    );
  });

  it('allows deny lists with open', () => {
    assert.equal(load(`${sources('{ kind: keys, denyFile: d }')}  open: true\n`).config.admission.open, true);
  });

  it('prints sources so that they can be loaded again, and never what a secret is', () => {
    process.env['TOWPATH_TEST_SECRET'] = 'tskey-secret';
    const printed = printYaml(load(sources('{ kind: tailscale-api, apiKey: env:TOWPATH_TEST_SECRET }')));
    delete process.env['TOWPATH_TEST_SECRET'];
    assert.doesNotMatch(printed, /tskey-secret/);
    assert.deepEqual(load(printed).config.admission.sources.length, 1);
  });

  it('takes sources as JSON from the environment', () => {
    const { config } = loadConfig({ env: { TOWPATH_ADMISSION_SOURCES: '[{"kind":"tailscaled"}]' } });
    assert.equal(config.admission.sources[0]?.kind, 'tailscaled');
    assert.throws(() => loadConfig({ env: { TOWPATH_ADMISSION_SOURCES: 'tailscaled' } }), {
      code: 'TOWPATH_CONFIG_INVALID',
    });
  });
});

describe('docs/admission.md', () => {
  const directory = scratch();
  const blocks = [...GUIDE.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text!);

  it('has configurations that load, and together use every kind', () => {
    const kinds = new Set<string>();
    for (const block of blocks) {
      const file = join(directory.path, 'towpath.yaml');
      writeFileSync(file, block);
      for (const { kind } of loadConfig({ file }).config.admission.sources) kinds.add(kind);
    }
    assert.deepEqual([...kinds].sort(), Object.keys(admissionSourceKinds).sort());
  });

  it('describes every key of every kind', () => {
    for (const [kind, schema] of Object.entries(admissionSourceKinds)) {
      for (const key of Object.keys(sectionMeta.get(schema)!.shape)) {
        assert.ok(GUIDE.includes(`\`${key}\``), `${kind}: ${key}`);
      }
    }
  });
});
