import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Command } from 'commander';
import { registerSetup } from '../../src/cli/setup.ts';
import { loadConfig } from '../../src/config/load.ts';
import { TowpathError } from '../../src/base/errors.ts';
import type { Machine } from '../../src/tools/setup/machine.ts';
import { certificateFor } from '../client/fake-relay.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const root = mkdtempSync(path.join(tmpdir(), 'towpath-setup-test-'));
after(() => rmSync(root, { recursive: true }));

/** A machine whose systemd only records its commands. */
class TestMachine implements Machine {
  readonly folder = mkdtempSync(path.join(root, 'machine-'));
  readonly hasSystemd: boolean;
  readonly unitDirectory = path.join(this.folder, 'units');
  readonly packageUnitDirectories = [path.join(this.folder, 'package')];
  readonly stateDirectory = path.join(this.folder, 'state');
  readonly program = ['/usr/bin/towpath'] as const;
  readonly ran: string[] = [];
  untouched = '';

  constructor(hasSystemd: boolean) {
    this.hasSystemd = hasSystemd;
  }

  run(program: string, args: readonly string[]): void {
    this.ran.push([program, ...args].join(' '));
  }

  isUntouched(file: string): boolean {
    return file === this.untouched;
  }

  get file(): string {
    return path.join(this.folder, 'etc', 'towpath.yaml');
  }

  /** Runs the command without a terminal, with files in the folder of this machine. */
  async setUp(...more: string[]): Promise<{ out: string; error: TowpathError | null }> {
    let out = '';
    const program = new Command().exitOverride().configureOutput({ writeOut: (text) => (out += text) });
    registerSetup(program, [], this);
    try {
      const places = ['--out', this.file, '--state-directory', this.stateDirectory];
      await program.parseAsync(['setup', ...places, ...more], { from: 'user' });
      return { out, error: null };
    } catch (error) {
      assert.ok(error instanceof TowpathError, String(error));
      return { out, error };
    } finally {
      process.exitCode = 0;
    }
  }
}

const BASE = ['--hostname', '127.0.0.1', '--network', 'headscale', '--certificate', 'self-signed'];

suite('towpath setup without a terminal', () => {
  let headscale = '';
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(request.url === '/verify' ? '{"Allow":false}' : '{"nodes":[]}');
    });
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    headscale = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  test('names everything that is missing, or wrong, at once', async () => {
    const machine = new TestMachine(false);
    const missing = await machine.setUp();
    assert.equal(missing.error?.message, 'these answers are missing: --hostname, --network, --admit, --certificate');
    const wrong = await machine.setUp(
      '--hostname',
      'a b',
      '--network',
      'zerotier',
      '--admit',
      'all',
      '--certificate',
      'x',
    );
    for (const flag of ['--hostname', '--network', '--admit', '--certificate']) {
      assert.ok(wrong.error?.message.includes(`${flag}: found`), wrong.error?.message);
    }
    assert.equal(existsSync(machine.file), false);
  });

  test('every way to admit gives a configuration that is closed', async () => {
    const secret = path.join(root, 'secret');
    writeFileSync(secret, 's3cret\n', { mode: 0o600 });
    const ways: readonly (readonly [readonly string[], string])[] = [
      [['--admit', 'headscale', '--headscale-url', headscale], 'headscale'],
      [['--admit', 'headscale-api', '--headscale-url', headscale, '--api-key-file', secret], 'headscale'],
      [['--network', 'tailscale', '--admit', 'tailscale-api', '--api-key-file', secret, '--no-test'], 'tailscale-api'],
      [
        [
          '--network',
          'tailscale',
          '--admit',
          'tailscale-api',
          '--client-id',
          'k1',
          '--client-secret-file',
          secret,
          '--no-test',
        ],
        'tailscale-api',
      ],
      [['--admit', 'webhook', '--webhook-url', `${headscale}/verify`], 'webhook'],
      [['--admit', 'tailscaled', '--no-test'], 'tailscaled'],
      [['--admit', 'keys'], 'keys'],
    ];
    for (const [flags, kind] of ways) {
      const machine = new TestMachine(false);
      const { out, error } = await machine.setUp(...BASE, ...flags);
      assert.equal(error, null, error?.message);
      const { config } = loadConfig({ file: machine.file });
      assert.deepEqual([config.admission.open, config.admission.sources.map((source) => source.kind)], [false, [kind]]);
      assert.match(out, /serve --config/);
      assert.match(out, kind === 'tailscale-api' ? /"derpMap": \{/ : /regions:\n {2}900:/);
    }
  });

  test('a relay is open only when that is said', async () => {
    const machine = new TestMachine(false);
    assert.equal((await machine.setUp(...BASE, '--open')).error, null);
    assert.equal(loadConfig({ file: machine.file }).config.admission.open, true);
    assert.match(readFileSync(machine.file, 'utf8'), /# EVERYONE/);
    const without = await new TestMachine(false).setUp(...BASE);
    assert.equal(without.error?.message, 'these answers are missing: --admit');
    const both = await new TestMachine(false).setUp(...BASE, '--open', '--admit', 'keys');
    assert.match(both.error?.message ?? '', /--open: cannot be used together with --admit/);
  });

  test('names of files cannot add lines to a unit or commands to a shell', async () => {
    const line = await new TestMachine(false).setUp(
      ...BASE,
      '--admit',
      'headscale-api',
      '--headscale-url',
      'https://x.example',
      '--api-key-file',
      '/a\nExecStart=x',
    );
    assert.match(line.error?.message ?? '', /--api-key-file: found a control character/);
    const machine = new TestMachine(false);
    const file = path.join(machine.folder, "it's $(id).yaml");
    const { out, error } = await machine.setUp(...BASE, '--open', '--out', file);
    assert.equal(error, null);
    const word = `'${file.replaceAll("'", String.raw`'\''`)}'`;
    assert.ok(out.includes(`towpath serve --config ${word}\n`), out);
    assert.ok(out.includes(`towpath doctor --config ${word}\n`), out);
  });

  test('every kind of certificate', async () => {
    const { certPem, keyPem } = certificateFor(30, 'relay.example.com');
    const [file, keyFile] = [path.join(root, 'c.pem'), path.join(root, 'k.pem')];
    writeFileSync(file, certPem);
    writeFileSync(keyFile, keyPem, { mode: 0o600 });
    const named = ['--hostname', 'relay.example.com', '--network', 'headscale', '--admit', 'keys'];
    const files = new TestMachine(false);
    const pair = ['--certificate', 'files', '--certificate-file', file, '--certificate-key-file', keyFile];
    assert.equal((await files.setUp(...named, ...pair)).error, null);
    assert.equal(loadConfig({ file: files.file }).config.certificate.file, file);
    const acme = new TestMachine(false);
    const refused = await acme.setUp(...named, '--certificate', 'acme');
    assert.equal(refused.error?.message, 'these answers are missing: --agree-terms');
    assert.equal(
      (await acme.setUp(...named, '--certificate', 'acme', '--agree-terms', '--email', 'a@example.com')).error,
      null,
    );
    assert.deepEqual(loadConfig({ file: acme.file }).config.certificate.mode, 'acme');
  });

  test('nothing is changed when the answers do not work', async () => {
    const machine = new TestMachine(false);
    const { out, error } = await machine.setUp(
      ...BASE,
      '--admit',
      'headscale',
      '--headscale-url',
      'http://127.0.0.1:1',
    );
    assert.equal(error?.code, 'TOWPATH_SETUP_TEST');
    assert.match(out, /✗ Source .*ECONNREFUSED/);
    assert.equal(existsSync(machine.file), false);
  });

  test('--dry-run shows it and changes nothing', async () => {
    const machine = new TestMachine(true);
    const { out, error } = await machine.setUp(...BASE, '--admit', 'keys', '--dry-run');
    assert.equal(error, null);
    assert.match(out, /hostname: "127\.0\.0\.1"/);
    assert.match(out, /would run: systemctl enable towpath\.socket/);
    assert.deepEqual([existsSync(machine.file), machine.ran], [false, []]);
  });

  test('what is there is replaced only with --force, or as the package made it; the old file stays', async () => {
    const machine = new TestMachine(false);
    mkdirSync(path.dirname(machine.file));
    writeFileSync(machine.file, '# mine\n');
    const { error } = await machine.setUp(...BASE, '--admit', 'keys');
    assert.match(error?.message ?? '', /already there: .*towpath\.yaml\. Nothing was changed/);
    assert.equal(readFileSync(machine.file, 'utf8'), '# mine\n');
    assert.equal((await machine.setUp(...BASE, '--admit', 'keys', '--force')).error, null);
    assert.equal(readFileSync(`${machine.file}.old`, 'utf8'), '# mine\n');
    writeFileSync(machine.file, '# of the package\n');
    machine.untouched = machine.file;
    assert.equal((await machine.setUp(...BASE, '--admit', 'keys')).error, null);
  });

  test('with systemd: units, secrets as credentials, start, and the report of the doctor', async () => {
    const secret = path.join(root, 'api-key');
    writeFileSync(secret, 's3cret\n', { mode: 0o600 });
    const machine = new TestMachine(true);
    const flags = ['--admit', 'headscale-api', '--headscale-url', headscale, '--api-key-file', secret];
    const { out, error } = await machine.setUp(...BASE, ...flags);
    assert.equal(error, null, error?.message);
    assert.deepEqual(
      machine.ran.map((line) => line.split(' ').slice(0, 2).join(' ')),
      ['systemctl daemon-reload', 'systemctl enable', 'systemctl restart'],
    );
    const unit = readFileSync(path.join(machine.unitDirectory, 'towpath.service'), 'utf8');
    assert.match(unit, /^ExecStart=\/usr\/bin\/towpath serve --config \/etc\/towpath\/towpath\.yaml$/m);
    const dropIn = readFileSync(path.join(machine.unitDirectory, 'towpath.service.d', 'setup.conf'), 'utf8');
    assert.ok(dropIn.includes(`LoadCredential=api-key:${secret}\n`), dropIn);
    assert.ok(dropIn.includes(`ExecStart=\nExecStart=/usr/bin/towpath serve --config ${machine.file}\n`), dropIn);
    assert.match(readFileSync(machine.file, 'utf8'), /apiKeyFile: "\/run\/credentials\/towpath\.service\/api-key"/);
    assert.equal(statSync(machine.file).mode & 0o777, 0o644, 'the user of the service reads it');
    assert.match(out, /DERP port/);
  });

  test('units of a package stay as they are', async () => {
    const machine = new TestMachine(true);
    mkdirSync(machine.packageUnitDirectories[0]!);
    writeFileSync(path.join(machine.packageUnitDirectories[0]!, 'towpath.service'), '');
    await machine.setUp(...BASE, '--admit', 'keys', '--dry-run');
    const { out } = await machine.setUp(...BASE, '--admit', 'keys', '--dry-run');
    assert.doesNotMatch(out, /towpath-stun\.socket\n\[Unit\]/);
    assert.match(out, /would run: systemctl restart/);
  });
});

const hasScript = spawnSync('script', ['--version']).status === 0;

test(
  'towpath setup on a terminal asks until the answer is allowed, and shows no secret',
  { skip: !hasScript },
  async () => {
    const folder = mkdtempSync(path.join(root, 'terminal-'));
    const file = path.join(folder, 'towpath.yaml');
    const command = `'${process.execPath}' '${MAIN}' setup --no-test --no-service --out '${file}' --state-directory '${folder}/state'`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    const answers: readonly (readonly [RegExp, string])[] = [
      [/IP address of this relay/, 'not a host'],
      [/Allowed: a DNS name/, '203.0.113.9'],
      [/2\) Headscale/, '2'],
      [/5\) a web service/, '2'],
      [/URL of the Headscale/, 'https://headscale.example.com'],
      [/\(not shown\)/, 'S3cretS3cret'],
      [/the DERP map pins it/, ''],
      [/Write .*\?/, 'yes'],
    ];
    let next = 0;
    let seen = 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      const waiting = answers[next];
      if (waiting === undefined || !/[:?] (?:\[[^\]]*\]: )?(?:\u001b\[\d+G)?$|\]: (?:\u001b\[\d+G)?$/.test(out)) return;
      if (!waiting[0].test(out.slice(seen))) return;
      seen = out.length;
      next++;
      child.stdin.write(`${waiting[1]}\r`);
    });
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0, out);
    assert.equal(next, answers.length, out);
    assert.doesNotMatch(out, /S3cretS3cret/);
    const { config } = loadConfig({ file });
    assert.equal(config.hostname, '203.0.113.9');
    const key = path.join(folder, 'headscale-api-key');
    assert.deepEqual([readFileSync(key, 'utf8'), statSync(key).mode & 0o777], ['S3cretS3cret\n', 0o600]);
  },
);
