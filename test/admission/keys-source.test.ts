import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
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
        message: 'allow.txt:2: this is no node key',
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
      ['error: the changed key files are not usable; the old lists stay'],
    );
    assert.match(source.state().problem ?? '', /allow:1: this is no node key/);
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

  it('does not start without its file', () => {
    const { parts } = new World();
    const config = { kind: 'keys', name: 'x', allowFile: '/nowhere/keys', pollSeconds: 2, keepSeconds: 1 } as const;
    assert.throws(() => new KeysSource(config, parts), { code: 'TOWPATH_KEY_LIST_UNREADABLE' });
  });
});
