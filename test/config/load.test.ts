import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { configKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { TowpathError } from '../../src/base/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'towpath-config-'));
after(() => rmSync(directory, { recursive: true }));

function write(content: string, name = 'towpath.yaml'): string {
  const file = join(directory, name);
  writeFileSync(file, content);
  return file;
}

/** Returns the lines of the error message for a file, without the directory. */
function refusal(content: string, more: { env?: Record<string, string>; flags?: Record<string, string> } = {}): string {
  try {
    loadConfig({ file: write(content), ...more });
  } catch (error) {
    assert.ok(error instanceof TowpathError);
    assert.equal(error.code, 'TOWPATH_CONFIG_INVALID');
    return error.message.replaceAll(`${directory}/`, '');
  }
  assert.fail('the configuration was accepted');
}

const OF_PROXY =
  'with transport plain a proxy does TLS and has the certificate: remove certificate.mode and the files here and get the certificate in the proxy, or set transport to tls';

describe('defaults', () => {
  it('are a complete relay', () => {
    const { config, origins, file } = loadConfig({});
    assert.deepEqual(config.listen, [{ ip: '::', port: 443 }]);
    assert.deepEqual(config.http, [{ ip: '::', port: 80 }]);
    assert.deepEqual(config.admin.listen, { ip: '127.0.0.1', port: 9090 });
    assert.deepEqual(config.stun.listen, [{ ip: '::', port: 3478 }]);
    assert.equal(config.certificate.mode, 'self-signed');
    assert.deepEqual(config.certificate.names, []);
    assert.deepEqual(config.fairness.perClient, { bytesPerSecond: 0, burstBytes: 65_568 });
    assert.equal(config.limits.writeDeadlineMs, 20_000);
    assert.equal(config.region.nodeName, '900a');
    assert.equal(config.selfTest, true);
    assert.equal(config.hostname, undefined);
    assert.deepEqual(origins.get('listen'), { kind: 'default' });
    assert.equal(file, undefined);
  });

  it('are also what an empty file gives, and one with empty sections', () => {
    const { config } = loadConfig({});
    assert.deepEqual(loadConfig({ file: write('') }).config, config);
    assert.deepEqual(loadConfig({ file: write('limits:\nfairness:\n  perClient:\n') }).config, config);
  });

  it('that are computed follow from other keys', () => {
    const { config, origins } = loadConfig({
      flags: { hostname: 'derp.example.com', 'region.id': 901, 'certificate.file': '/c', 'certificate.keyFile': '/k' },
    });
    assert.deepEqual(config.certificate.names, ['derp.example.com']);
    assert.equal(config.certificate.mode, 'file');
    assert.equal(config.region.nodeName, '901a');
    assert.equal(origins.get('region.nodeName')?.kind, 'computed');
    assert.deepEqual(loadConfig({ flags: { publicIp: '203.0.113.7,2001:DB8::1' } }).config.certificate.names, [
      '203.0.113.7',
      '2001:db8::1',
    ]);
  });
});

describe('precedence', () => {
  it('is flag over environment over file over default, and every value knows its origin', () => {
    const file = write('log:\n  level: debug\n  format: json\nhostname: a.example\nregion: { id: 901 }\n');
    const env = { TOWPATH_LOG_LEVEL: 'warn', TOWPATH_HOSTNAME: 'b.example' };
    const { config, origins } = loadConfig({ file, env, flags: { 'log.level': 'error' } });
    assert.deepEqual(config.log, { level: 'error', format: 'json' });
    assert.equal(config.hostname, 'b.example');
    assert.deepEqual(origins.get('log.level'), { kind: 'flag', name: 'log-level' });
    assert.deepEqual(origins.get('hostname'), { kind: 'env', name: 'TOWPATH_HOSTNAME' });
    assert.deepEqual(origins.get('log.format'), { kind: 'file', file, line: 3 });
    assert.deepEqual(origins.get('region.id'), { kind: 'file', file, line: 5 });
    assert.deepEqual(origins.get('duplicates'), { kind: 'default' });
  });

  it('leaves the token of the command line alone', () => {
    assert.doesNotThrow(() => loadConfig({ env: { TOWPATH_TOKEN: 'abcdefghijklmnopqrstuvwxyz' } }));
  });

  it('takes the file from TOWPATH_CONFIG when no flag names one', () => {
    const file = write('hostname: a.example\n');
    assert.equal(loadConfig({ env: { TOWPATH_CONFIG: file } }).config.hostname, 'a.example');
    assert.equal(
      loadConfig({ file: write('', 'other.yaml'), env: { TOWPATH_CONFIG: file } }).config.hostname,
      undefined,
    );
  });
});

describe('files', () => {
  it('may be JSON indented with tabs', () => {
    const file = write('{\n\t"listen": ["127.0.0.1:1", "[::1]:2"],\n\t"stun": "off"\n}\n', 'towpath.json');
    const { config } = loadConfig({ file });
    assert.deepEqual(config.listen, [
      { ip: '127.0.0.1', port: 1 },
      { ip: '::1', port: 2 },
    ]);
    assert.deepEqual(config.stun.listen, []);
  });

  it('write addresses as a list, as one text, or as a bare port', () => {
    for (const content of ['http: [8080, "127.0.0.1:81"]', 'http: 8080, 127.0.0.1:81']) {
      assert.deepEqual(loadConfig({ file: write(content) }).config.http, [
        { ip: '::', port: 8080 },
        { ip: '127.0.0.1', port: 81 },
      ]);
    }
    assert.deepEqual(loadConfig({ file: write('admin: 9191') }).config.admin.listen, { ip: '127.0.0.1', port: 9191 });
  });

  it('turn listeners off with the word off', () => {
    const { config } = loadConfig({ file: write('http: off\nadmin: off\nstun: off\n') });
    assert.deepEqual([config.http, config.admin.listen, config.stun.listen], [[], null, []]);
  });

  it('resolve relative paths from their own directory; flags from the current one', () => {
    const file = write('keyFile: ../keys/derper.key\ncertificate:\n  directory: certs\n');
    const { config } = loadConfig({ file, flags: { 'certificate.directory': 'certs' } });
    assert.equal(config.keyFile, resolve(directory, '../keys/derper.key'));
    assert.equal(config.certificate.directory, resolve('certs'));
  });

  it('raise a burst that is too small to 65568', () => {
    const { config } = loadConfig({
      file: write('fairness:\n  perClient:\n    bytesPerSecond: 1\n    burstBytes: 1\n'),
    });
    assert.deepEqual(config.fairness.perClient, { bytesPerSecond: 1, burstBytes: 65_568 });
  });

  it('that cannot be read are an error of their own', () => {
    assert.throws(() => loadConfig({ file: join(directory, 'missing.yaml') }), { code: 'TOWPATH_CONFIG_FILE' });
  });
});

describe('refusals', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an unknown key', 'listn: 1', 'towpath.yaml:1: listn: unknown key; did you mean listen?'],
    ['another spelling', 'key-file: x', 'towpath.yaml:1: key-file: unknown key; did you mean keyFile?'],
    [
      'a key of another section',
      '\nqueueBytes: 1',
      'towpath.yaml:2: queueBytes: unknown key; did you mean limits.queueBytes?',
    ],
    [
      'a name like nothing',
      'drain: { colour: 1 }',
      'towpath.yaml:1: drain.colour: unknown key; allowed: seconds, closesPerSecond, reconnectMinMs, reconnectMaxMs',
    ],
    [
      'a wrong type',
      'limits:\n  queueBytes: many',
      'towpath.yaml:2: limits.queueBytes: found "many"; allowed: a whole number of bytes from 65573 to 1073741824',
    ],
    [
      'a number out of bounds',
      'region: { id: 70000 }',
      'towpath.yaml:1: region.id: found 70000; allowed: a whole number from 1 to 65535',
    ],
    [
      'a fraction',
      'drain: { seconds: 1.5 }',
      'towpath.yaml:1: drain.seconds: found 1.5; allowed: a whole number of seconds from 0 to 3600',
    ],
    [
      'a wrong word',
      'log:\n  level: loud',
      'towpath.yaml:2: log.level: found "loud"; allowed: one of trace, debug, info, warn, error, fatal, silent',
    ],
    ['yes for true', 'selfTest: yes', 'towpath.yaml:1: selfTest: found "yes"; allowed: true or false'],
    [
      'a wrong entry of a list, with its line',
      'http:\n  - 80\n  - example.com:1',
      'towpath.yaml:3: http[1]: found "example.com:1"; allowed: an address such as 127.0.0.1:443, [::]:443 or 443, a list of them, or off',
    ],
    [
      'off where there must be an address',
      'listen: off',
      'towpath.yaml:1: listen: found "off"; allowed: an address such as 127.0.0.1:443, [::]:443 or 443, or a list of them',
    ],
    [
      'no address at all',
      'listen: []',
      'towpath.yaml:1: listen: found []; allowed: an address such as 127.0.0.1:443, [::]:443 or 443, or a list of them',
    ],
    [
      'a key without a value',
      'hostname:',
      'towpath.yaml:1: hostname: found nothing; allowed: a DNS name or an IP address',
    ],
    ['no IP', 'publicIp: 1.2.3.256', 'towpath.yaml:1: publicIp: found "1.2.3.256"; allowed: a list of IP addresses'],
    [
      'a value for a section',
      'drain: 3',
      'towpath.yaml:1: drain: found 3; allowed: a mapping with the keys seconds, closesPerSecond, reconnectMinMs, reconnectMaxMs',
    ],
    ['redirect without url', 'home:\n  mode: redirect', 'towpath.yaml:2: home.url: is missing: mode redirect needs it'],
    [
      'url without redirect',
      'home:\n  url: https://a.example',
      'towpath.yaml:2: home.url: cannot be used with mode neutral; allowed: mode redirect',
    ],
    [
      'a url of another scheme',
      'home: { mode: redirect, url: "ftp://a" }',
      'towpath.yaml:1: home.url: found "ftp://a"; allowed: a URL that starts with https:// or http://, without user and password',
    ],
    ['mode file without a file', 'home:\n  mode: file', 'towpath.yaml:2: home.file: is missing: mode file needs it'],
    [
      'a certificate without its key',
      'certificate:\n  file: a.pem',
      'towpath.yaml:2: certificate.keyFile: is missing: it is needed when the other of file and keyFile is given',
    ],
    [
      'files with self-signed',
      'certificate: { mode: self-signed, keyFile: a.pem }',
      'towpath.yaml:1: certificate.keyFile: cannot be used with mode self-signed',
    ],
    [
      'a renewal before the beginning',
      'certificate:\n  validityDays: 10',
      'towpath.yaml:2: certificate.renewBeforeDays: found 30; allowed: less than validityDays, which is 10',
    ],
    [
      'a shortest time over the longest',
      'drain:\n  reconnectMinMs: 6000',
      'towpath.yaml:2: drain.reconnectMinMs: found 6000; allowed: at most reconnectMaxMs, which is 5000',
    ],
    [
      'an address used twice',
      'listen: 127.0.0.1:8443\nadmin: 127.0.0.1:8443',
      'towpath.yaml:2: admin.listen: found 127.0.0.1:8443; allowed: an address that listen does not use',
    ],
    [
      'a source that answers when the node is gone',
      'admission:\n  sources: [{ kind: webhook, name: w, url: "https://a", timeoutSeconds: 10 }]',
      'towpath.yaml:2: admission.sources: w: timeoutSeconds: found 10; allowed: less than limits.derpHandshakeMs, which is 10000 ms: the node would be gone before the answer is',
    ],
    [
      'an address twice in one key',
      'listen: [127.0.0.1:8443, "127.0.0.1:8443"]',
      'towpath.yaml:1: listen: found 127.0.0.1:8443 twice; allowed: each address once',
    ],
    [
      'an address that a wildcard before it includes',
      'listen: 0.0.0.0:443\nhttp: 127.0.0.1:443',
      'towpath.yaml:2: http: found 127.0.0.1:443; allowed: an address that 0.0.0.0:443 of listen does not include',
    ],
    [
      'a wildcard that includes an address before it',
      'listen: 127.0.0.1:443\nhttp: 0.0.0.0:443',
      'towpath.yaml:2: http: found 0.0.0.0:443; allowed: an address that does not include 127.0.0.1:443 of listen',
    ],
    [
      'IPv4 beside the IPv6 wildcard, which takes both',
      'listen: ["[::]:443", "0.0.0.0:443"]',
      'towpath.yaml:1: listen: found 0.0.0.0:443; allowed: an address that [::]:443 of listen does not include',
    ],
    [
      'an address of the default of another key',
      'admin: 127.0.0.1:80',
      'towpath.yaml:1: admin.listen: found 127.0.0.1:80; allowed: an address that [::]:80 of http does not include',
    ],
    [
      'STUN on an address that its wildcard includes',
      'stun: ["[::]:3478", "[::1]:3478"]',
      'towpath.yaml:1: stun.listen: found [::1]:3478; allowed: an address that [::]:3478 of stun.listen does not include',
    ],
    [
      'a certificate of an authority where a proxy does TLS',
      'transport: plain\nhostname: a.example\ncertificate:\n  acme: { termsAgreed: true }\n  mode: acme',
      `towpath.yaml:5: certificate.mode: found acme; ${OF_PROXY}`,
    ],
    [
      'certificate files where a proxy does TLS',
      'transport: plain\ncertificate:\n  file: a.pem\n  keyFile: b.pem',
      `towpath.yaml:3: certificate.mode: found file; ${OF_PROXY}`,
    ],
    ['a key given twice', 'listen: 1\nlisten: 2', 'towpath.yaml:2: the key "listen" is there twice'],
  ];
  for (const [name, content, message] of cases) {
    it(name, () => assert.equal(refusal(content), message));
  }

  const longest = 'a'.repeat(524_289);
  const odd: [string, string, string][] = [
    [
      'aliases that multiply',
      `listen: [&a [x,x,x,x,x]]\nhttp: &b [${'*a,'.repeat(9)}]\nadmin: &c [${'*b,'.repeat(9)}]\nstun: [${'*c,'.repeat(9)}]`,
      'more than 100 aliases, or one within itself',
    ],
    ['a value within itself', 'listen: &a [*a]', 'more than 100 aliases, or one within itself'],
    [
      'a section that an alias without an anchor stands for',
      'admission: *x',
      'there is no anchor of this name before it',
    ],
    ['a value that an alias without an anchor stands for', 'listen: [*x]', 'there is no anchor of this name before it'],
    ['a section within itself', '&r {log: *r}', 'log.log: unknown key'],
    ['a mapping as a key', `${'? '.repeat(30)}listen`, 'a key must be plain text'],
    ['a mapping as a key of a value', `listen: ${'{? '.repeat(40)}a${'}'.repeat(40)}`, 'a key must be plain text'],
    ['a key twice in a value', 'admission: { sources: [{ kind: keys, kind: keys }] }', 'the key "kind" is there twice'],
    ['what is nested very deep', `listen: ${'['.repeat(20_000)}`, 'nested too deeply'],
    ['thousands of unknown keys', Array.from({ length: 3000 }, (_, i) => `key${i}: 1`).join('\n'), '3000 problems'],
    ['what is far too long', longest, 'it is longer than the 524288 characters that a configuration may have'],
  ];
  for (const [name, content, message] of odd) {
    it(`of ${name}`, () => {
      const text = refusal(content);
      assert.ok(text.includes(message), text);
      assert.ok(text.split('\n').length <= 33, 'not all of very many problems are shown');
    });
  }

  it('of something that is not a file: nothing waits for it', { skip: process.platform === 'win32' }, () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const [file, message] of [
      [pipe, /this is a named pipe, not a file$/],
      ['/dev/zero', /it is longer than 1 MiB$/],
      [directory, /this is a directory, not a file$/],
    ] as const) {
      assert.throws(() => loadConfig({ file }), { code: 'TOWPATH_CONFIG_FILE', message });
    }
  });

  it('are none for values that are written once and used again', () => {
    const { config } = loadConfig({
      file: write('listen: &a 127.0.0.1:8443\nstun: { listen: *a }\nlog: &l\n  level: debug\n'),
    });
    assert.deepEqual(config.stun.listen, config.listen);
    assert.equal(config.log.level, 'debug');
  });

  it('are none for addresses that do not overlap', () => {
    const apart = [
      'listen: [127.0.0.1:443, "127.0.0.2:443"]\nhttp: "[::1]:443"',
      'listen: 0.0.0.0:443\nhttp: "[2001:db8::7]:443"',
      'listen: [0, 0]\nhttp: [0, 0]\nadmin: 0\nstun: [0, 0]',
      'listen: "[::]:443"\nstun: "[::]:443"',
    ];
    for (const content of apart) assert.doesNotThrow(() => loadConfig({ file: write(content) }), content);
  });

  it('of a broken file name line and column in plain words, with the line and a mark', () => {
    const broken: readonly (readonly [string, RegExp])[] = [
      ['log:\n  level: [\n', /^towpath\.yaml:2:11: a list in \[ \].* not closed.*\n {6}level: \[\n {14}\^$/],
      ['log:\n\tlevel: info\n', /:2:1: a tab is used to indent; .*\n {4}→level: info\n {4}\^$/],
      ['log:\n  level: info\n format: json\n', /:3:1: this line is not indented like .*\n {5}format: json\n {4}\^$/],
      ['listen: a: b\n', /:1:9: two "key: value" on one line; .*\n {4}listen: a: b\n {12}\^$/],
      ['http: off\nhostname example.com\nstun: off\n', /:2:1: the ":" behind the key is missing\n/],
      ['hostname: "example.com\nhttp: off\n', /the quotation mark at the end of a text is missing/],
      ['hostname: @example\n', /:1:11: a text that starts with @/],
      [`hostname: ${'x'.repeat(200)}: y\n`, /\n {4}hostname: x{66}\n {4} *\^$/],
    ];
    for (const [content, message] of broken) {
      const text = refusal(content);
      assert.match(text, message);
      assert.doesNotMatch(text, /scalar|implicit|collection|flow|mappings are/i);
    }
  });

  it('of a broken file show no value of a key that may be a secret', () => {
    const text = refusal('admission:\n  sources:\n    - kind: headscale\n      apiKey: one: s3cret\n');
    assert.match(text, /:4:15: two "key: value"/);
    assert.doesNotMatch(text, /s3cret/);
  });

  it('list all problems, those of the file first and in its order', () => {
    const message = refusal('log: { level: x }\nfoo: 1\n', { env: { TOWPATH_HTTP: 'y' }, flags: { hostname: 'a b' } });
    const places = message.split('\n').map((line) => line.trim().split(' found')[0]);
    assert.deepEqual(places, [
      '4 problems in the configuration:',
      'towpath.yaml:1: log.level:',
      places[2],
      'env TOWPATH_HTTP: http:',
      'flag --hostname: hostname:',
    ]);
    assert.match(places[2]!, /^towpath\.yaml:2: foo: unknown key/);
  });

  it('shorten long values', () => assert.ok(refusal(`hostname: "${'x '.repeat(5000)}"`).length < 200));
});

describe('environment', () => {
  it('reads numbers, switches and lists', () => {
    const { config } = loadConfig({
      env: {
        TOWPATH_FAIRNESS_PER_CLIENT_BYTES_PER_SECOND: '250000',
        TOWPATH_SELF_TEST: 'false',
        TOWPATH_LISTEN: '127.0.0.1:1, [::1]:2',
        TOWPATH_STUN: 'off',
        TOWPATH_LIMITS_QUEUE_BYTES: '100000',
      },
    });
    assert.equal(config.fairness.perClient.bytesPerSecond, 250_000);
    assert.equal(config.selfTest, false);
    assert.equal(config.listen.length, 2);
    assert.deepEqual(config.stun.listen, []);
    assert.equal(config.limits.queueBytes, 100_000);
  });

  it('ignores what is set to nothing, what is not ours, and what Kubernetes sets', () => {
    const env = {
      TOWPATH_HOSTNAME: '',
      PATH: '/bin',
      TOWPATH_NODE: '/usr/bin/node',
      TOWPATH_SERVICE_HOST: '10.0.0.1',
      TOWPATH_SERVICE_PORT: '443',
      TOWPATH_PORT: 'tcp://10.0.0.1:443',
      TOWPATH_PORT_443_TCP_ADDR: '10.0.0.1',
    };
    assert.equal(loadConfig({ env }).config.hostname, undefined);
  });

  it('ignores all variables of every Service and link whose name begins with towpath', () => {
    const ofKeys = [...configKeys.values()].flatMap(({ envNames }) => envNames.map((name) => name.slice(8)));
    const rests = [...ofKeys, ...ofKeys.map((name) => name.replace(/_[A-Z]+$/, ''))];
    const rest = fc.oneof(fc.constantFrom('', ...rests), fc.stringMatching(/^[A-Z0-9]{1,8}(?:_[A-Z0-9]{1,8}){0,2}$/));
    const ip = fc.constantFrom('10.0.0.1', '[fd00::1]');
    const protocol = fc.constantFrom('tcp', 'udp', 'sctp');
    const port = fc.record({ number: fc.integer({ min: 1, max: 65_535 }), protocol });
    fc.assert(
      fc.property(
        rest,
        ip,
        fc.array(port, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (name, host, ports, isLink) => {
          const service = name === '' ? 'TOWPATH' : `TOWPATH_${name}`;
          const url = (at: (typeof ports)[number]): string => `${at.protocol}://${host}:${at.number}`;
          const env: Record<string, string> = { [`${service}_PORT`]: url(ports[0]!) };
          for (const at of ports) {
            const variable = `${service}_PORT_${at.number}_${at.protocol.toUpperCase()}`;
            env[variable] = url(at);
            env[`${variable}_PROTO`] = at.protocol;
            env[`${variable}_PORT`] = String(at.number);
            env[`${variable}_ADDR`] = host;
          }
          if (isLink) {
            env[`${service}_NAME`] = '/web/relay';
            env[`${service}_ENV_LISTEN`] = 'x';
          } else {
            env[`${service}_SERVICE_HOST`] = host;
            env[`${service}_SERVICE_PORT`] = String(ports[0]!.number);
            env[`${service}_SERVICE_PORT_HTTPS`] = String(ports[0]!.number);
          }
          assert.deepEqual(loadConfig({ env }).config, loadConfig({}).config);
        },
      ),
    );
  });

  it('takes a port beside the variables of a Service', () => {
    const service = { TOWPATH_PORT: 'tcp://10.0.0.1:443', TOWPATH_SERVICE_HOST: '10.0.0.1' };
    assert.equal(loadConfig({ env: { ...service, TOWPATH_DERP_PORT: '8443' } }).config.derpPort, 8443);
    assert.throws(() => loadConfig({ env: { ...service, TOWPATH_HTTP_PORT: '80' } }), /TOWPATH_HTTP_PORT: no key/);
  });

  it('refuses a name that is no key', () => {
    const expected = { message: 'env TOWPATH_DREP_PORT: no key has this name; did you mean TOWPATH_DERP_PORT?' };
    assert.throws(() => loadConfig({ env: { TOWPATH_DREP_PORT: '1' } }), expected);
  });
});
