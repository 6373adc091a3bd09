import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { createKeyFile } from '../../../src/service/key-file.ts';
import { fileChecks } from '../../../src/tools/doctor/files.ts';
import type { Check } from '../../../src/tools/doctor/check.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-files-'));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => path.join(folder, name);
const KEY = `nodekey:${'ab'.repeat(32)}`;

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
}

/** Makes a key `NAME.key` and a certificate `NAME.pem` for `host`, signed by `issuer` or by itself. */
function certificate(name: string, host: string, issuer: string | null, days = 90): void {
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
  );
  writeFileSync(at(`${name}.ext`), `subjectAltName=DNS:${host}\n`);
  const sign =
    issuer === null
      ? ['-signkey', `${name}.key`]
      : ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...sign,
    '-days',
    String(days),
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  );
}

async function found(more: object, keyFile = 'derper.key'): Promise<Check[]> {
  const values = { hostname: 'relay.example.com', keyFile: at(keyFile), admission: { open: true }, ...more };
  const { config } = loadConfig({ values });
  return (await fileChecks(config)).filter(({ status }) => status !== 'ok');
}

const pair = (certificateFile: string, keyFile: string): object => ({
  certificate: { mode: 'file', file: at(certificateFile), keyFile: at(keyFile) },
});
const own = { certificate: { mode: 'self-signed', directory: at('certs') } };

suite('the files that a configuration names', () => {
  certificate('root', 'root.example.com', null);
  certificate('leaf', 'relay.example.com', 'root');
  certificate('other', 'other.example.com', 'root');
  certificate('short', 'relay.example.com', 'root', 3);
  const pem = (name: string): string => execFileSync('cat', [at(`${name}.pem`)], { encoding: 'utf8' });
  writeFileSync(at('chain.pem'), pem('leaf') + pem('root'));
  writeFileSync(at('wrong-order.pem'), pem('leaf') + pem('other') + pem('root'));
  writeFileSync(at('turned.pem'), pem('root') + pem('leaf'));

  test('are right before the first start too', async () => {
    assert.deepEqual(await found(own), []);
    assert.deepEqual(await found(pair('chain.pem', 'leaf.key')), []);
  });

  test('the key: a wrong folder, a file that is none', async () => {
    const [missing] = await found(own, 'tpyo/towpath/derper.key');
    assert.equal(missing?.status, 'failed');
    assert.match(missing.text, /there is no folder .*tpyo$/);
    writeFileSync(at('empty.key'), '', { mode: 0o600 });
    const [empty] = await found(own, 'empty.key');
    assert.match(empty?.text ?? '', /empty\.key: it is empty/);
    createKeyFile(at('good.key'));
    assert.deepEqual(await found(own, 'good.key'), []);
  });

  test('the certificate: pair, order, dates, names', async () => {
    const cases: readonly (readonly [string, string, Check['status'], RegExp])[] = [
      ['chain.pem', 'other.key', 'failed', /other\.key does not belong to the first certificate in .*chain\.pem/],
      ['turned.pem', 'leaf.key', 'failed', /does not belong to the first certificate/],
      ['wrong-order.pem', 'leaf.key', 'warning', /certificate 2 did not issue certificate 1/],
      ['short.pem', 'short.key', 'warning', /expires .* \([23] days\)/],
      ['other.pem', 'other.key', 'failed', /relay\.example\.com/],
      ['missing.pem', 'leaf.key', 'failed', /missing\.pem/],
      ['leaf.key', 'leaf.key', 'failed', /does not contain a PEM certificate/],
    ];
    for (const [file, keyFile, status, text] of cases) {
      const [check] = await found(pair(file, keyFile));
      assert.equal(check?.status, status, file);
      assert.match(check.text, text);
      assert.ok(check.fix !== null, file);
    }
  });

  test('lists of keys and secrets', async () => {
    writeFileSync(at('keys'), `${KEY} laptop\n# none\n`);
    writeFileSync(at('bad-keys'), `${KEY}\nnodekey:12\n`);
    writeFileSync(at('secret'), 'abc\n');
    writeFileSync(at('bad-secret'), 'a b\n');
    const admission = (...sources: object[]) => ({ ...own, admission: { sources } });
    const keys = { kind: 'keys', allowFile: at('keys') };
    const headscale = { kind: 'headscale', url: 'https://headscale.example.com', apiKeyFile: at('secret') };
    assert.deepEqual(await found(admission(keys, headscale)), []);
    const bad = await found(
      admission(
        { ...keys, denyFile: at('bad-keys') },
        { ...headscale, apiKeyFile: at('bad-secret') },
        {
          kind: 'webhook',
          url: 'https://example.com',
          tokenFile: at('no-secret'),
        },
      ),
    );
    assert.deepEqual(
      bad.map(({ status }) => status),
      ['failed', 'failed', 'failed'],
    );
    assert.match(bad[0]!.text, /bad-keys:2: this is not a node key/);
    assert.match(bad[1]!.text, /does not contain a usable secret/);
    assert.match(bad[2]!.text, /cannot be read: ENOENT/);
  });

  test('credentials of systemd are there only while the service runs', async () => {
    const place = '/run/credentials/no-such.service';
    const later = await found({
      certificate: { mode: 'file', file: `${place}/cert.pem`, keyFile: `${place}/key.pem` },
      admission: { sources: [{ kind: 'webhook', url: 'https://example.com', tokenFile: `${place}/token` }] },
    });
    assert.deepEqual(
      later.map(({ status }) => status),
      ['skipped', 'skipped'],
    );
  });
});
