import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { Command } from 'commander';
import * as fc from 'fast-check';
import { convertDerper } from '../../../src/tools/migrate/convert.ts';
import { registerMigrate } from '../../../src/cli/migrate.ts';
import { configKeys } from '../../../src/config/keys.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { TowpathError } from '../../../src/base/errors.ts';
import { certificateFor } from '../../client/fake-relay.ts';

const directory = mkdtempSync(join(tmpdir(), 'towpath-migrate-'));
after(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'towpath.yaml');
const HAS_ACME = configKeys.has('certificate.acme.termsAgreed');

/** Reads the printed configuration as `towpath serve` does. */
function migrate(...flags: readonly string[]): { config: Config; text: string } {
  const text = convertDerper(flags).toYaml(['title']);
  writeFileSync(file, text);
  return { config: loadConfig({ file }).config, text };
}

function refusal(...flags: readonly string[]): string {
  try {
    convertDerper(flags);
  } catch (error) {
    assert.ok(error instanceof TowpathError, String(error));
    assert.equal(error.code, 'TOWPATH_USAGE');
    return error.message;
  }
  return assert.fail(`${flags.join(' ')} was taken`);
}

describe('towpath migrate derper', () => {
  it('keeps ports, key and openness of a derper without flags', () => {
    const { config, text } = migrate();
    assert.deepEqual(config.listen, [{ ip: '::', port: 443 }]);
    assert.deepEqual(config.http, [{ ip: '::', port: 80 }]);
    assert.deepEqual(config.stun.listen, [{ ip: '::', port: 3478 }]);
    assert.equal(config.keyFile, '/var/lib/derper/derper.key');
    assert.equal(config.home.mode, 'full');
    assert.equal(config.admission.open, true);
    assert.equal(config.certificate.mode, HAS_ACME ? 'acme' : 'self-signed');
    assert.match(text, /# hostname is derper's default/);
  });

  it('works for a user without a home directory, and says what that means', (t) => {
    const { HOME, XDG_CACHE_HOME } = process.env;
    t.after(() => {
      for (const [name, value] of Object.entries({ HOME, XDG_CACHE_HOME })) {
        if (value === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = value;
      }
    });
    const flags = ['-hostname', '203.0.113.7', '-certmode', 'manual'];
    delete process.env['HOME'];
    delete process.env['XDG_CACHE_HOME'];
    const { config, text } = migrate(...flags);
    assert.equal(config.certificate.directory, resolve('.'));
    assert.match(text, /# -certdir: this user has no home directory \(HOME is not set\)/);
    process.env['XDG_CACHE_HOME'] = '/var/cache';
    assert.equal(migrate(...flags).config.certificate.directory, '/var/cache/tailscale/derper-certs');
    process.env['XDG_CACHE_HOME'] = 'relative';
    process.env['HOME'] = '/home/x';
    assert.equal(migrate(...flags).config.certificate.directory, resolve('.'), 'Go takes no relative one');
    delete process.env['XDG_CACHE_HOME'];
    assert.equal(migrate(...flags).config.certificate.directory, '/home/x/.cache/tailscale/derper-certs');
  });

  it('takes addresses in each form', () => {
    const { config } = migrate('-a=192.0.2.1:https', '--http-port', '-1', '-stun-port=3479');
    assert.deepEqual([config.listen, config.http], [[{ ip: '192.0.2.1', port: 443 }], []]);
    assert.deepEqual(config.stun.listen, [{ ip: '192.0.2.1', port: 3479 }], 'on the address of -a');
    assert.deepEqual(migrate('-a', '[2001:db8::1]:443').config.listen, [{ ip: '2001:db8::1', port: 443 }]);
    assert.deepEqual(migrate('-stun=false').config.stun.listen, []);
    assert.deepEqual(migrate('-a', 'localhost:443').config.listen, [{ ip: '127.0.0.1', port: 443 }]);
    assert.match(migrate('-a', 'relay.example.com:443').text, /so it listens on all of this machine/);
  });

  it('says that derper speaks plain HTTP on other ports', () => {
    for (const flags of [['-a', ':8080'], ['-dev']]) {
      const { config, text } = migrate(...flags);
      assert.match(text, /HTTP without TLS/);
      assert.deepEqual(config.http, [], 'derper has no second port then');
    }
    assert.equal(migrate('-dev').config.keyFile, resolve('derper-dev.key'));
  });

  it('uses the files of manual mode', () => {
    const certdir = join(directory, 'certs');
    const { config } = migrate('-certmode=manual', '-certdir', certdir, '-hostname', 'derp.example.com', '-a', ':8443');
    const { mode, file: certFile, keyFile } = config.certificate;
    const base = join(certdir, 'derp.example.com');
    assert.deepEqual([mode, certFile, keyFile], ['file', `${base}.crt`, `${base}.key`]);
    assert.equal(config.hostname, 'derp.example.com');
    const cache = migrate('-certmode=manual', '-hostname', 'derp.example.com').config.certificate.file!;
    if (process.platform === 'linux' && process.env['XDG_CACHE_HOME'] === undefined)
      assert.equal(cache, join(homedir(), '.cache/tailscale/derper-certs/derp.example.com.crt'));
  });

  it('keeps the self-signed certificate of an IP and its pin, but not one that somebody issued', () => {
    const certdir = join(directory, 'ip-certs');
    mkdirSync(certdir);
    const flags = ['-certmode', 'manual', '-certdir', certdir, '-hostname', '2001:db8::7'];
    assert.equal(migrate(...flags).config.certificate.mode, 'self-signed');
    writeFileSync(join(certdir, '2001db87.crt'), certificateFor(30, '2001:db8::7').certPem);
    const { config, text } = migrate(...flags);
    assert.deepEqual([config.certificate.mode, config.certificate.directory], ['self-signed', certdir]);
    assert.match(text, /stays in use, with its pin/);
  });

  it('obtains certificates as derper does', { skip: !HAS_ACME }, () => {
    const { text } = migrate('-hostname', 'derp.example.com', '-acme-email', 'a@example.com', '-acme-ip-certs');
    assert.match(text, /mode: "acme"\n {2}acme:\n {4}termsAgreed: true\n {4}email: "a@example.com"/);
    assert.match(text, /-acme-ip-certs: .* certificate\.names/);
    const gcp = migrate('-certmode=gcp', '-acme-eab-kid', 'kid', '-acme-eab-key', 'c2VjcmV0', '-hostname', 'a.example');
    assert.match(gcp.text, /directory: "https:\/\/dv\.acme-v02\.api\.pki\.goog\/directory"/);
    assert.match(gcp.text, /keyId: "kid"/);
    assert.ok(!gcp.text.includes('c2VjcmV0'), 'the secret is not repeated');
  });

  it('turns admission into sources', () => {
    assert.deepEqual(migrate('-disallow-app-names', 'a b, c').config.admission.denyApps, ['a b', 'c']);
    const { sources } = migrate('-verify-clients', '-socket', '/run/ts.sock').config.admission;
    assert.deepEqual(
      sources.map((source) => [source.kind, 'socket' in source ? source.socket : '']),
      [['tailscaled', '/run/ts.sock']],
    );
    const url = 'https://control.example.com/verify';
    for (const [flags, failOpen] of [
      [[], true],
      [['-verify-client-url-fail-open=f'], false],
    ] as const) {
      const [webhook] = migrate('-verify-client-url', url, ...flags).config.admission.sources;
      assert.ok(webhook?.kind === 'webhook');
      assert.deepEqual([webhook.url, webhook.failOpen], [url, failOpen]);
    }
    const both = migrate('-verify-clients', '-verify-client-url', url);
    assert.deepEqual(
      both.config.admission.sources.map(({ kind }) => kind),
      ['tailscaled'],
      'never looser than derper',
    );
    assert.match(both.text, /# -verify-client-url is left out: .*kind: webhook/);
    for (const { config } of [both, migrate('-verify-client-url', url)]) assert.equal(config.admission.open, false);
    for (const wrong of ['ftp://u:secret@x', 'https://u:secret@x', 'https://u:secret@[']) {
      const message = refusal('-verify-client-url', wrong);
      assert.match(message, /^-verify-client-url: .* must be a URL/);
      assert.doesNotMatch(message, /secret/);
    }
  });

  it('converts the rate file, names, home page and deadline', () => {
    const rates = join(directory, 'rates.json');
    writeFileSync(rates, '{"perclientratelimitbytespersec": 1000000, "PerClientRateBurstBytes": 2000000, "Other": 1}');
    const { config } = migrate(
      ...['-rate-config', rates, '-bootstrap-dns-names', 'a.example,b.example'],
      ...[
        '-unpublished-bootstrap-dns-names',
        'c.example/d.example',
        '-home',
        'https://example.com/',
        '-tcp-write-timeout=1.5s',
      ],
    );
    assert.deepEqual(config.fairness.perClient, { bytesPerSecond: 1_000_000, burstBytes: 2_000_000 });
    assert.deepEqual(config.bootstrapDns.published, ['a.example', 'b.example']);
    assert.deepEqual(config.bootstrapDns.unpublished, ['c.example/d.example']);
    assert.deepEqual([config.home.mode, config.home.url], ['redirect', 'https://example.com/']);
    assert.equal(config.limits.writeDeadlineMs, 1500);
    assert.equal(migrate('-home', 'blank').config.home.mode, 'blank');
    assert.match(migrate('-rate-config', join(directory, 'none')).text, /# -rate-config .*no such file.*by hand/);
  });

  it('does not wait for a file that is a pipe, nor takes a rate that stands twice', () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    assert.match(migrate('-rate-config', pipe).text, /# -rate-config .*a named pipe, not a file.*by hand/);
    const certificates = join(directory, 'pipes');
    mkdirSync(certificates);
    execFileSync('mkfifo', [join(certificates, 'relay.example.com.crt')]);
    const flags = ['-a', ':443', '-hostname', 'relay.example.com', '-certmode', 'manual', '-certdir', certificates];
    assert.match(migrate(...flags).text, /relay\.example\.com\.crt cannot be read here/);
    const rates = join(directory, 'two-rates.json');
    writeFileSync(rates, '{"PerClientRateBurstBytes": 1, "perclientrateburstbytes": 2}');
    assert.match(migrate('-rate-config', rates).text, /the key "PerClientRateBurstBytes" is there twice.*by hand/);
  });

  it("takes over derper's mesh", () => {
    const { config, text } = migrate(
      '-mesh-psk-file',
      '/etc/derp/mesh.key',
      '-mesh-with',
      'b.example/10.0.0.2,c.example:8443',
    );
    assert.equal(config.mesh.keyFile, '/etc/derp/mesh.key');
    assert.deepEqual(config.mesh.with, ['b.example', 'c.example:8443']);
    assert.match(text, /^# -mesh-with: derper connects to 10\.0\.0\.2 for b\.example\./m);
  });

  it('gives the reason for each flag without an equivalent', () => {
    const { text } = migrate(
      '-mesh-with',
      'a,b',
      '-ace',
      '-accept-connection-limit=Inf',
      '-tcp-keepalive-time',
      '10m',
      '-derp=0',
    );
    for (const flag of ['-mesh-with', '-ace', '-accept-connection-limit', '-tcp-keepalive-time', '-derp=false'])
      assert.match(text, new RegExp(`^# ${flag}.*: .*\\.$`, 'm'));
  });

  it('refuses what derper refuses', () => {
    assert.match(refusal('-hostnam', 'x'), /derper has no flag -hostnam/);
    assert.match(refusal('-verify-clients=maybe'), /"maybe" is not a boolean/);
    assert.match(refusal('-http-port', 'x'), /is not a whole number/);
    assert.match(refusal('-c'), /-c needs a value/);
    assert.match(refusal('-a', '443'), /is not an address/);
    assert.match(refusal('-certmode', 'auto'), /must be letsencrypt, gcp or manual/);
    assert.match(refusal('-home', 'nowhere'), /is neither empty, blank, nor a URL/);
    assert.match(refusal('-stun', 'false'), /is not a flag of derper/, 'a boolean takes no word behind it');
  });

  it('prints a configuration that loads, whatever the flags', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('a.example', 'a#b: c', '- x', "'", '"\\'),
    );
    const whole = fc.integer({ min: -1, max: 65_535 }).map(String);
    const anyValue: Record<string, fc.Arbitrary<string>> = {
      a: fc.oneof(
        whole.map((port) => `:${port}`),
        fc.constantFrom(':https', '127.0.0.1:9090', '[::1]:80', 'name:443'),
      ),
      'http-port': fc.oneof(whole, fc.constantFrom('443', '9090')),
      'stun-port': whole,
      c: text,
      certmode: fc.constantFrom('letsencrypt', 'gcp', 'manual'),
      certdir: text,
      hostname: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant('derp.example.com')),
      'acme-email': fc.oneof(text, fc.emailAddress()),
      'acme-eab-kid': text,
      'acme-eab-key': text,
      home: fc.oneof(fc.constantFrom('', 'blank'), fc.webUrl()),
      'mesh-with': fc.oneof(text, fc.domain()),
      'mesh-psk-file': text,
      'bootstrap-dns-names': fc.oneof(text, fc.domain()),
      'unpublished-bootstrap-dns-names': fc.oneof(text, fc.domain()),
      'verify-client-url': fc.webUrl(),
      socket: text,
      'rate-config': text,
      'accept-connection-limit': fc.constantFrom('Inf', '1.5', '1e9'),
      'tcp-write-timeout': fc.constantFrom('0', '2s', '1h', '-1s', '1m0.5s'),
      'tcp-user-timeout': fc.constantFrom('15s', '1.5h'),
    };
    const toggles = ['dev', 'acme-ip-certs', 'stun', 'derp', 'verify-clients', 'verify-client-url-fail-open', 'ace'];
    const valued = fc
      .constantFrom(...Object.keys(anyValue))
      .chain((name) =>
        fc
          .tuple(anyValue[name]!, fc.constantFrom('-', '--'), fc.boolean())
          .map(([value, dashes, isJoined]) => (isJoined ? [`${dashes}${name}=${value}`] : [`${dashes}${name}`, value])),
      );
    const toggled = fc
      .tuple(fc.constantFrom(...toggles), fc.constantFrom('', '=true', '=0', '=F'))
      .map(([name, value]) => [`-${name}${value}`]);
    let loaded = 0;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(valued, toggled), { maxLength: 8 }).map((parts) => parts.flat()),
        (flags) => {
          try {
            const { config } = migrate(...flags);
            const isChecked = flags.some((flag) => /^--?verify-client(?:s$|s=true|-url(?:$|=))/.test(flag));
            if (!isChecked) assert.equal(config.admission.sources.length, 0);
            loaded++;
          } catch (error) {
            // derper refuses these itself.
            if (!(error instanceof TowpathError) || error.code !== 'TOWPATH_USAGE') throw error;
          }
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(loaded > 150, `${loaded} of 300 were taken`);
  });

  it('puts the configuration alone on standard output', () => {
    const said = { out: '', err: '' };
    const program = new Command().exitOverride().configureOutput({
      writeOut: (text) => (said.out += text),
      writeErr: (text) => (said.err += text),
    });
    const argv = ['migrate', 'derper', '--', 'derper', '-hostname', 'a.example', '-ace'];
    registerMigrate(program, argv);
    program.parse(argv, { from: 'user' });
    writeFileSync(file, said.out);
    assert.equal(loadConfig({ file }).config.hostname, 'a.example');
    assert.match(said.err, /^towpath: -ace has no equivalent: .*\n$/);
  });

  it('says that "--" is missing, and how the command would be right', () => {
    const argv = ['migrate', 'derper', '-hostname', 'a b', '-ace'];
    const program = new Command().exitOverride();
    registerMigrate(program, argv);
    assert.throws(() => program.parse(argv, { from: 'user' }), {
      code: 'TOWPATH_USAGE',
      message: '"--" is missing before -hostname: the flags of derper come after it',
      hint: "Run: towpath migrate derper -- -hostname 'a b' -ace",
    });
  });

  it('names all variables that no shell has replaced', () => {
    const text = refusal('-hostname', '$DERP_DOMAIN', '-a', ':${DERP_PORT}', '-certdir', '$DERP_DOMAIN/x');
    assert.equal(text, '$DERP_DOMAIN, ${DERP_PORT} are variables of a shell, not values');
  });
});
