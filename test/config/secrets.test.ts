import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { admissionSourceKinds } from '../../src/config/schema/admission-sources.ts';
import { keyMeta, sectionMeta } from '../../src/config/schema/fields.ts';
import { configKeys } from '../../src/config/keys.ts';
import { loadConfig, type ConfigSources } from '../../src/config/load.ts';
import { printJson, printYaml } from '../../src/config/print.ts';

/** Returns all text that is printed for a valid or an invalid configuration. */
function shown(sources: ConfigSources): string {
  try {
    const loaded = loadConfig(sources);
    return printYaml(loaded) + printJson(loaded);
  } catch (error) {
    const { message, hint = '', stack = '' } = error as Error & { hint?: string };
    return message + hint + stack;
  }
}

/** Every secret key of every kind of source, such as `token` of `webhook`. */
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
    const own = [...configKeys.values()].filter((key) => key.secret).map((key) => key.path);
    assert.deepEqual(own.sort(), ['admin.token', 'mesh.key']);
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
        // Cut off, so that it is not valid JSON.
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

  it('when it stands in place of the name of a variable', () => {
    for (const name of ['TOWPATH_ADMIN_TOKEN', 'TOWPATH_MESH_KEY']) {
      const text = shown({ env: { [name]: 'S3cr3tS3cr3tS3cr3t' } });
      assert.match(text, /found a value that does not fit; allowed: env:NAME/);
      assert.ok(!text.includes('S3cr3t'), text);
    }
  });

  it('when a colon, a space or a quotation mark is missing, or one is too many', () => {
    const whole = (text: string): string =>
      [
        'admin:',
        '  listen: 127.0.0.1:9090',
        `  token: ${text}`,
        'mesh:',
        `  key: "${text}"`,
        'peerRelay:',
        `  tailnets: [{ name: a, authKey: ${text} }]`,
        'admission:',
        '  sources:',
        '    - kind: webhook',
        `      url: https://user:${text}@x.example/?token=${text}`,
        `      token: ${text}`,
        `    - { kind: tailscale-api, clientId: abc, clientSecret: '${text}' }`,
        '',
      ].join('\n');
    const characters = fc.constantFrom('', ...Array.from(':\n\t "\'[]{}*&!%@`-#,|>?\\'));
    const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1), characters), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(changes, (list) => {
        const text = 'S3cr3tAbcdefghijk';
        let content = whole(text);
        for (const [place, removed, added] of list) {
          const at = place % content.length;
          content = `${content.slice(0, at)}${added}${content.slice(at + removed)}`;
        }
        writeFileSync(file, content);
        // A change may have moved a part of the secret to any place; half of the secret must not be printed.
        assert.doesNotMatch(shown({ file }), /S3cr3tAbc|defghijk/);
      }),
      // A fixed seed: enough random changes together can make any text of a secret.
      { numRuns: 400, seed: 20 },
    );
  });

  it('but the rest of a line that has no secret is shown', () => {
    writeFileSync(file, "admin:\n  tokenFile: '/run/secrets/token\n");
    assert.match(shown({ file }), /tokenFile: '\/run/);
  });
});
