import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { RUNTIME, VERSION } from '../../src/base/version.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), 'towpath-main-'));
after(() => rmSync(directory, { recursive: true }));

function towpath(...argv: string[]): SpawnSyncReturns<string> {
  // No TOWPATH_ variable of this machine. With its cache, Node does not compile the same sources in each of the processes.
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', env: { PATH, NODE_COMPILE_CACHE } });
}

function write(content: string): string {
  const file = join(directory, 'towpath.yaml');
  writeFileSync(file, content);
  return file;
}

describe('towpath', () => {
  it('--version, -v, -V and version print version, commit and runtime', () => {
    for (const word of ['--version', '-v', '-V', 'version']) {
      const { status, stdout } = towpath(word);
      assert.equal(status, 0, word);
      const [, version, runtime] = /^towpath (\S+) \(commit (?:[0-9a-f]{12}|unknown), (.+)\)\n$/.exec(stdout) ?? [];
      assert.deepEqual([version, runtime], [VERSION, RUNTIME], stdout);
    }
  });

  it('--help names the commands and the exit codes', () => {
    const { status, stdout } = towpath('--help');
    assert.equal(status, 0);
    for (const word of ['serve', 'config', 'Exit codes']) assert.ok(stdout.includes(word), word);
  });

  it('refuses a command and a flag that do not exist, with exit code 2', () => {
    for (const argv of [['srve'], ['serve', '--lissten', '1'], ['config', 'check']]) {
      const { status, stdout, stderr } = towpath(...argv);
      assert.deepEqual([status, stdout], [2, ''], argv.join(' '));
      assert.match(stderr, /^towpath: /);
    }
  });

  it('points to the help of the command that was used wrongly', () => {
    assert.match(towpath('srve').stderr, /\n\(towpath --help lists the commands\)\n$/);
    assert.match(towpath('config', 'check').stderr, /\n\(towpath config check --help lists the flags\)\n$/);
    assert.match(towpath('load', 'fast').stderr, /\n\(towpath load --help lists the commands\)\n$/);
  });

  it('--help wraps at words in 80 columns', () => {
    for (const argv of [['--help'], ['serve', '--help'], ['load', 'slow', '--help'], ['config', 'check', '--help']]) {
      const long = towpath(...argv)
        .stdout.split('\n')
        .filter((line) => line.length > 80);
      // A URL is not broken into lines, so that it can be copied.
      assert.deepEqual(
        long.filter((line) => /\S\s+\S/.test(line.trim())),
        [],
        argv.join(' '),
      );
    }
  });

  it('stays quiet when the reader of its output has gone', () => {
    const { stderr } = spawnSync('sh', ['-c', `"$0" "$1" config schema | true`, process.execPath, MAIN], {
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
  });
});

describe('towpath config', () => {
  it('check accepts a right file, and says what else there is to check', () => {
    const file = write('hostname: derp.example.com\nkeyFile: derper.key\n');
    const { status, stdout, stderr } = towpath('config', 'check', file);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /: ok\nWhether the relay works, .*: towpath doctor --config .*\n$/);
    assert.ok(stdout.startsWith(file), stdout);
  });

  it('check looks at the files too, unless it is told to check the syntax alone', () => {
    const file = write('hostname: derp.example.com\nkeyFile: no/such/folder/derper.key\n');
    const { status, stdout } = towpath('config', 'check', file);
    assert.equal(status, 1);
    assert.match(stdout, /files that it names are not\n {2}✗ Key file .*there is no folder/);
    const syntax = towpath('config', 'check', '--syntax', file);
    assert.deepEqual([syntax.status, syntax.stdout], [0, `${file}: ok\n`]);
  });

  it('check refuses a wrong one with line, path, what was found and what is allowed', () => {
    const file = write('hostname: derp.example.com\nlog:\n  level: loud\n');
    const { status, stderr } = towpath('config', 'check', file);
    assert.equal(status, 2);
    assert.ok(stderr.startsWith(`towpath: ${file}:3: log.level: found "loud"; allowed: one of trace, debug`), stderr);
    assert.ok(!stderr.includes('    at '), stderr);
  });

  it('print takes the flags of serve, comma separated or repeated', () => {
    const file = write('http: off\nselfTest: false\n');
    const flags = ['--listen', '127.0.0.1:1,127.0.0.1:2', '--listen', '127.0.0.1:3', '--stun', 'off', '--self-test'];
    const { status, stdout } = towpath('config', 'print', '--json', '--config', file, ...flags);
    assert.equal(status, 0);
    const printed = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(printed['listen'], {
      value: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'],
      origin: 'flag --listen',
    });
    assert.deepEqual(printed['stun.listen'], { value: 'off', origin: 'flag --stun' });
    assert.deepEqual(printed['http'], { value: 'off', origin: `${file}:1` });
    assert.deepEqual(printed['selfTest'], { value: true, origin: 'flag --self-test' });
  });

  it('print takes all flags that the interoperability tests use', () => {
    const argv =
      '--listen 127.0.0.1:9443 --http 127.0.0.1:9480 --stun 127.0.0.1:9478 --certificate-file C.pem ' +
      '--certificate-key-file K.pem --key-file derper.json --admin 127.0.0.1:9490 --log-level warn --no-self-test';
    const { status, stdout, stderr } = towpath('config', 'print', ...argv.split(' '));
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^ {2}mode: "file" # default: /m);
    assert.match(stdout, /^selfTest: false # flag --no-self-test$/m);
  });

  it('schema prints JSON', () => {
    const { status, stdout } = towpath('config', 'schema');
    assert.equal(status, 0);
    assert.ok('properties' in (JSON.parse(stdout) as object));
  });
});
