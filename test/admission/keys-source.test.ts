import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseKeyList } from '../../src/admission/key-list.ts';
import { KeysSource } from '../../src/admission/keys-source.ts';
import { hexKey, reasonOf, scratch, World } from './support.ts';

describe('a key list', () => {
  it('has a key a line, with labels and comments', () => {
    const text = [
      '\uFEFF# our nodes',
      '',
      `nodekey:${hexKey(1)} laptop of Ann`,
      `  nodekey:${hexKey(2)}   # printer`,
      `NODEKEY:${'AB'.repeat(32)}\r`,
    ].join('\n');
    assert.deepEqual(
      [...parseKeyList(text, 'f')],
      [
        [hexKey(1), 'laptop of Ann'],
        [hexKey(2), 'printer'],
        ['ab'.repeat(32), ''],
      ],
    );
  });

  for (const [name, line] of [
    ['a key that is too short', 'nodekey:abcd'],
    ['a key without its prefix', hexKey(1)],
    ['another kind of key', `mkey:${hexKey(1)}`],
  ] as const) {
    it(`is refused for ${name}, with the line and without what it says`, () => {
      assert.throws(() => parseKeyList(`# x\n${line}`, 'allow.txt'), {
        code: 'TOWPATH_KEY_LIST_INVALID',
        message: 'allow.txt:2: this is not a node key',
      });
    });
  }
});

describe('the source keys', () => {
  const directory = scratch();
  const files = () => ({ allowFile: join(directory.path, 'allow'), denyFile: join(directory.path, 'deny') });

  function open(world: World): { source: KeysSource; changes: () => number } {
    const { allowFile, denyFile } = files();
    writeFileSync(allowFile, `nodekey:${hexKey(1)}\nnodekey:${hexKey(2)}\n`);
    writeFileSync(denyFile, `nodekey:${hexKey(2)}\n`);
    const source = new KeysSource(
      { kind: 'keys', name: 'office', allowFile, denyFile, pollSeconds: 2, keepSeconds: 100 },
      world.parts,
    );
    let count = 0;
    source.onChange(() => count++);
    void source.start();
    return { source, changes: () => count };
  }

  it('admits what is in the allow file, and denies what is in the deny file', () => {
    const { source } = open(new World());
    assert.equal(source.look(hexKey(1)), 'yes');
    assert.equal(source.denies(hexKey(1)), false);
    assert.equal(source.denies(hexKey(2)), true);
    assert.equal(reasonOf(source.look(hexKey(3))), 'unknown_key');
    source.stop();
  });

  it('takes over a changed file at its next look, and tells', () => {
    const world = new World();
    const { source, changes } = open(world);
    writeFileSync(files().allowFile, `nodekey:${hexKey(3)}\n`);
    world.pass(1);
    assert.equal(source.look(hexKey(1)), 'yes');
    world.pass(1);
    assert.equal(reasonOf(source.look(hexKey(1))), 'unknown_key');
    assert.equal(source.look(hexKey(3)), 'yes');
    assert.equal(changes(), 1);
    source.stop();
  });

  it('keeps the old lists when a file became wrong, and says so once', () => {
    const world = new World();
    const { source, changes } = open(world);
    writeFileSync(files().allowFile, 'nonsense, and longer than before\n');
    world.pass(2);
    world.pass(2);
    assert.equal(source.look(hexKey(1)), 'yes');
    assert.equal(changes(), 0);
    assert.deepEqual(
      world.lines.map(({ level, message }) => `${level}: ${message}`),
      ['error: the changed key files cannot be used; the old lists stay in use'],
    );
    assert.match(source.state().problem ?? '', /allow:1: this is not a node key/);
    source.stop();
  });

  it('forgets an allow file that is gone after keepSeconds, and a deny file never', () => {
    const world = new World();
    const { source, changes } = open(world);
    rmSync(files().allowFile);
    rmSync(files().denyFile);
    world.pass(2);
    assert.equal(source.look(hexKey(1)), 'yes');
    assert.equal(source.state().isUsable, true);
    world.pass(100);
    world.pass(2);
    assert.equal(reasonOf(source.look(hexKey(1))), 'unavailable');
    assert.equal(source.denies(hexKey(2)), true);
    assert.equal(source.state().isUsable, false);
    assert.equal(changes(), 1);
    source.stop();
  });

  for (const [name, replace] of [
    ['a directory', (path) => mkdirSync(path)],
    ['a named pipe', (path) => void execFileSync('mkfifo', [path])],
    [
      'a huge file',
      (path) => {
        writeFileSync(path, '');
        truncateSync(path, 2 ** 31);
      },
    ],
    ['a link to nothing', (path) => symlinkSync('nowhere', path)],
    ['a line that is cut off', (path) => writeFileSync(path, `nodekey:${hexKey(1)}\nnodekey:${hexKey(3).slice(1)}`)],
  ] as [string, (path: string) => void][]) {
    it(`keeps its list through ${name}, and takes the next good one`, () => {
      const world = new World();
      const { source } = open(world);
      const { allowFile } = files();
      rmSync(allowFile);
      replace(allowFile);
      for (let i = 0; i < 3; i++) world.pass(2);
      assert.equal(source.look(hexKey(1)), 'yes');
      assert.match(source.state().problem ?? '', /allow/);
      assert.equal(world.lines.filter(({ level }) => level === 'error').length, 1);
      rmSync(allowFile, { recursive: true });
      writeFileSync(join(directory.path, 'new'), `nodekey:${hexKey(3)}\n`);
      renameSync(join(directory.path, 'new'), allowFile);
      world.pass(2);
      assert.equal(source.look(hexKey(3)), 'yes');
      assert.equal(source.state().problem, null);
      source.stop();
    });
  }

  it('reads a file again whose rights were wrong, at each look and when told to', () => {
    // Root may read everything, so the process becomes another user during this test.
    const isRoot = process.getuid?.() === 0;
    const lock = (): void => (isRoot ? process.seteuid?.(65_534) : chmodSync(files().allowFile, 0));
    const unlock = (): void => (isRoot ? process.seteuid?.(0) : chmodSync(files().allowFile, 0o600));
    for (const byHand of [false, true]) {
      const world = new World();
      const { source } = open(world);
      chmodSync(directory.path, 0o755);
      writeFileSync(files().allowFile, `nodekey:${hexKey(3)}\n`);
      chmodSync(files().allowFile, 0o600);
      lock();
      try {
        world.pass(2);
      } finally {
        unlock();
      }
      assert.equal(source.look(hexKey(1)), 'yes');
      assert.match(source.state().problem ?? '', /EACCES/);
      if (byHand) source.reload();
      else world.pass(2);
      assert.equal(source.look(hexKey(3)), 'yes');
      source.stop();
    }
  });

  it('follows the deny file while the allow file is broken', () => {
    const world = new World();
    const { source } = open(world);
    writeFileSync(files().allowFile, 'nonsense\n');
    writeFileSync(files().denyFile, `nodekey:${hexKey(1)}\nnodekey:${hexKey(2)}\n`);
    world.pass(2);
    assert.equal(source.denies(hexKey(1)), true);
    source.stop();
  });

  it('waits a moment before it believes that keys are gone', () => {
    const world = new World();
    const { source } = open(world);
    world.wall = Date.now();
    writeFileSync(files().allowFile, '');
    world.clock.tick(world.clock.now + 2000);
    assert.equal(source.look(hexKey(1)), 'yes', 'somebody is writing it');
    world.wall += 10_000;
    world.clock.tick(world.clock.now + 2000);
    assert.equal(reasonOf(source.look(hexKey(1))), 'unknown_key');
    source.stop();
  });

  it('does not start without its file', () => {
    const { parts } = new World();
    const config = { kind: 'keys', name: 'x', allowFile: '/nowhere/keys', pollSeconds: 2, keepSeconds: 1 } as const;
    assert.throws(() => new KeysSource(config, parts), { code: 'TOWPATH_KEY_LIST_UNREADABLE' });
  });
});
