import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { AcmeChallengeAnswers } from '../../src/certificates/acme/challenge-answers.ts';
import { showDns } from '../../src/certificates/acme/dns-hook.ts';
import { failureFrom, type AcmeFailure } from '../../src/certificates/acme/failure.ts';
import { askRenewalInfo, renewalId } from '../../src/certificates/acme/renewal-info.ts';
import { alarmAt, LONGEST_WAIT_MS, renewAt, retryAt } from '../../src/certificates/acme/schedule.ts';
import { acmeSettings } from '../../src/certificates/acme/settings.ts';
import { AcmeStore } from '../../src/certificates/acme/store.ts';
import { isPublicName } from '../../src/certificates/names.ts';
import type { CertificateInfo } from '../../src/certificates/source.ts';
import { loadConfig } from '../../src/config/load.ts';
import { DAY_MS, jsonAnswer, scratch, START, World } from './support.ts';

/** The example of RFC 9773 §4.1: its certificate identifier is given there. */
const RFC_9773 = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`;
const RFC_9773_ID = 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE';

function info(days: number, pin = '80000000'): CertificateInfo {
  return {
    names: ['relay.example.com'],
    notBefore: new Date(START),
    notAfter: new Date(START + days * DAY_MS),
    pinSha256: pin.padEnd(64, '0'),
    selfSigned: false,
    next: null,
  };
}

describe('when a certificate is renewed', () => {
  it('is at two thirds of its life, at half of a short one, and up to a twentieth earlier', () => {
    for (const [days, part] of [
      [90, 2 / 3],
      [6, 1 / 2],
    ] as const) {
      assert.equal(renewAt(info(days, '00000000'), null), START + days * DAY_MS * part);
      assert.ok(Math.abs(renewAt(info(days, 'ffffffff'), null) - (START + days * DAY_MS * (part - 0.05))) < 1000);
    }
  });

  it('is when the authority advises, but not in the last tenth', () => {
    assert.equal(renewAt(info(90), START + DAY_MS), START + DAY_MS);
    assert.equal(renewAt(info(90), START + 500 * DAY_MS), START + 81 * DAY_MS);
  });

  it('is an alarm when half of the time that was left for it is over', () => {
    assert.equal(alarmAt(info(90), START + 60 * DAY_MS), START + 75 * DAY_MS);
  });
});

describe('the wait after a failure', () => {
  const challenge = { kind: 'challenge', retryAt: null } as const;

  it('lets four attempts into the first hour, so that five refused proofs an hour are never reached', () => {
    let at = 0;
    const attempts = [at];
    for (let n = 1; n <= 6; n++) attempts.push((at = retryAt(at, n, challenge, 0)));
    assert.deepEqual(
      attempts.map((ms) => ms / 60_000),
      [0, 5, 15, 35, 75, 155, 315],
    );
    assert.equal(retryAt(0, 1000, challenge, 0), 6 * 3_600_000);
  });

  it('is shorter for an authority that cannot be reached', () => {
    assert.equal(retryAt(0, 1, { kind: 'unreachable', retryAt: null }, 0), 60_000);
  });

  it('is as long as the authority says, within a week', () => {
    assert.equal(retryAt(0, 1, { kind: 'rate-limit', retryAt: 5 * DAY_MS }, 0), 5 * DAY_MS);
    assert.equal(retryAt(0, 1, { kind: 'rate-limit', retryAt: 50 * DAY_MS }, 0), LONGEST_WAIT_MS);
  });
});

describe('renewal information', () => {
  const leaf = new X509Certificate(RFC_9773);
  const answer =
    (status: number, body: unknown, headers: Record<string, string> = {}) =>
    ({ url }: { readonly url: string }) =>
      Promise.resolve(
        url === 'https://ca.example/dir'
          ? jsonAnswer({ newOrder: 'https://ca.example/o', renewalInfo: 'https://ca.example/ari' })
          : jsonAnswer(url.endsWith(RFC_9773_ID) ? body : {}, status, headers),
      );
  const ask = (request: ReturnType<typeof answer>) => askRenewalInfo(request, 'https://ca.example/dir', leaf, START);

  it('names the certificate as in RFC 9773 §4.1', () => {
    assert.equal(renewalId(leaf), RFC_9773_ID);
  });

  it('is asked again after Retry-After, within a minute and a day', async () => {
    const suggestedWindow = { start: '2026-12-01T00:00:00Z', end: '2026-12-02T00:00:00Z' };
    const page = 'https://ca.example/why';
    const asked = await ask(answer(200, { suggestedWindow, explanationURL: page }, { 'retry-after': '21600' }));
    assert.deepEqual(asked, {
      window: { start: Date.UTC(2026, 11, 1), end: Date.UTC(2026, 11, 2) },
      explanation: page,
      checkAgainMs: 21_600_000,
    });
    assert.equal((await ask(answer(200, { suggestedWindow }, { 'retry-after': '1' }))).checkAgainMs, 60_000);
    assert.equal((await ask(answer(200, { suggestedWindow }, { 'retry-after': '9999999' }))).checkAgainMs, DAY_MS);
  });

  it('is none when it is refused, damaged, or ends before it starts', async () => {
    const reversed = { start: '2026-12-02T00:00:00Z', end: '2026-12-01T00:00:00Z' };
    for (const body of [{ suggestedWindow: reversed }, { suggestedWindow: { start: 'x', end: 'y' } }, 7]) {
      assert.equal((await ask(answer(200, body))).window, null);
    }
    assert.equal((await ask(answer(404, {}))).window, null);
  });
});

describe('answers to challenges', () => {
  it('are there only while they are shown', () => {
    const answers = new AcmeChallengeAnswers();
    const hide = answers.showHttp('token', 'token.thumb');
    assert.equal(answers.httpResponse('token'), 'token.thumb');
    hide();
    assert.equal(answers.httpResponse('token'), null);
  });

  it('by TLS are a certificate with the digest, for the name or the reverse name of the IP (RFC 8737, RFC 8738)', () => {
    const answers = new AcmeChallengeAnswers();
    answers.showAlpn('Relay.example.com', 'token.thumb');
    const { certPem } = answers.alpnCertificate('relay.EXAMPLE.com')!;
    const digest = createHash('sha256').update('token.thumb').digest();
    assert.ok(new X509Certificate(certPem).raw.includes(Buffer.concat([Buffer.of(0x04, 0x20), digest])));
    assert.equal(answers.alpnCertificate('other.example.com'), null);
    answers.showAlpn('203.0.113.7', 'token.thumb');
    assert.ok(answers.alpnCertificate('7.113.0.203.in-addr.arpa') !== null);
    const reversed = `7.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`;
    answers.showAlpn('2001:db8::7', 'token.thumb');
    assert.ok(answers.alpnCertificate(reversed) !== null);
  });
});

describe('the words for failures', () => {
  const words = (type: string, detail = '', challenge = 'http-01'): AcmeFailure =>
    failureFrom(
      { type: `urn:ietf:params:acme:error:${type}`, detail },
      { name: 'a.example', challenge, retryAt: null },
    );

  it('say port, DNS, CAA and other servers', () => {
    assert.match(words('connection').message, /could not connect to a\.example on TCP port 80/);
    assert.match(words('connection', '', 'tls-alpn-01').message, /TCP port 443/);
    assert.match(words('dns').message, /could not look up a\.example/);
    assert.match(words('caa').message, /CAA record of a\.example/);
    assert.match(words('unauthorized').message, /another server than this relay/);
    assert.match(words('unauthorized', '', 'dns-01').message, /TXT record/);
    assert.match(words('rejectedIdentifier').hint ?? '', /self-signed/);
    assert.match(words('somethingNew', 'because').message, /somethingNew.*because/);
  });

  it('take the end of a rate limit from the text', () => {
    const failure = words('rateLimited', 'too many certificates, retry after 2026-11-25 10:00:00 UTC: see https://x');
    assert.equal(failure.kind, 'rate-limit');
    assert.equal(failure.retryAt, Date.UTC(2026, 10, 25, 10));
  });
});

describe('the DNS hook', () => {
  const hook = (script: string, timeoutSeconds = 10) => ({
    command: [process.execPath, '-e', script, '--'],
    timeoutSeconds,
    waitSeconds: 0,
  });

  it('is run without a shell', async () => {
    const script = 'process.exit(process.argv.slice(1).join("|").endsWith("|_acme-challenge.a.test|$(x) y") ? 0 : 3)';
    await (
      await showDns(hook(script), 'a.test', '$(x) y')
    )();
  });

  it('fails with what it said, with its end, or with its absence', async () => {
    await assert.rejects(
      showDns(hook('console.error("no zone"); process.exitCode = 4'), 'a.test', 'v'),
      /ended with 4/,
    );
    await assert.rejects(showDns(hook('setInterval(() => {}, 1000)', 1), 'a.test', 'v'), /was killed after 1 s/);
    const absent = { command: ['/nowhere/hook'], timeoutSeconds: 1, waitSeconds: 0 };
    await assert.rejects(showDns(absent, 'a.test', 'v'), /cannot be run/);
  });
});

describe('the settings', () => {
  const acme = (yaml: object = {}) =>
    loadConfig({
      flags: Object.fromEntries(
        Object.entries(yaml).map(([key, value]) => [`certificate.acme.${key}`, value as string]),
      ),
    }).config.certificate.acme;

  it('leave out what cannot be done here, and refuse it when it was asked for', () => {
    assert.deepEqual(acmeSettings(acme(), ['a.example'], true).challenges, ['tls-alpn-01', 'http-01']);
    assert.deepEqual(acmeSettings(acme(), ['a.example'], false).challenges, ['tls-alpn-01']);
    const asked = acme({ challenges: 'http-01' });
    assert.deepEqual(acmeSettings(asked, ['a.example'], true).challenges, ['http-01']);
    assert.throws(() => acmeSettings(asked, ['a.example'], false), /http is off/);
    assert.throws(() => acmeSettings(acme(), [], true), /no name/);
  });

  it('refuse impossible combinations in the configuration', () => {
    const load = (flags: Record<string, string | boolean>) => () => loadConfig({ flags });
    assert.throws(load({ 'certificate.mode': 'acme', hostname: 'a.example' }), /termsAgreed/);
    const agreed = { 'certificate.mode': 'acme', 'certificate.acme.termsAgreed': true };
    assert.throws(load(agreed), /hostname/);
    assert.throws(load({ ...agreed, hostname: 'a.example', 'certificate.acme.challenges': 'dns-01' }), /dnsHook/);
    assert.throws(
      load({ ...agreed, hostname: 'a.example', http: 'off', 'certificate.acme.challenges': 'http-01' }),
      /http-01 is the only one/,
    );
    assert.doesNotThrow(load({ ...agreed, hostname: 'a.example' }));
  });

  it('know public names', () => {
    for (const name of ['relay.example.com', '8.8.8.8', '2606:4700::1']) assert.ok(isPublicName(name), name);
    const inner = ['relay', 'a.test', 'a.local', 'a.home.arpa', '10.1.2.3', '100.64.0.1', '203.0.113.7', 'fd00::1'];
    for (const name of [...inner, '2001:db8::1', '169.254.1.1']) assert.ok(!isPublicName(name), name);
  });
});

describe('the store', () => {
  const directory = scratch();
  const open = (world: World, name: string): AcmeStore =>
    new AcmeStore(directory.path, 'https://ca.example/dir', name, world.log);

  it('keeps account and state for the owner alone, and starts anew when what was asked for changed', () => {
    const world = new World();
    const store = open(world, 'a.example');
    const { keyPem } = store.account('https://ca.example/dir');
    assert.equal(store.account('https://ca.example/dir').keyPem, keyPem);
    store.saveState({ ...store.state('one'), failures: 3, notBefore: START, problem: 'p' });
    assert.equal(store.state('one').failures, 3);
    assert.equal(store.state('two').failures, 0);
    const folder = join(directory.path, 'acme', 'ca.example-dir');
    for (const file of readdirSync(folder)) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
  });

  it('moves damaged files aside, quotes nothing of them, and never overwrites the one before', () => {
    const world = new World();
    const store = open(world, 'b.example');
    mkdirSync(dirname(store.certPath), { recursive: true });
    for (const text of ['secret one', 'secret two']) {
      writeFileSync(store.certPath, text);
      assert.equal(store.certificate(), null);
    }
    assert.equal(readFileSync(`${store.certPath}.broken-1`, 'utf8'), 'secret two');
    assert.doesNotMatch(JSON.stringify(world.lines), /secret/);
  });
});
