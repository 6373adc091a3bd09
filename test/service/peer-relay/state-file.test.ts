import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { saveState, takeState } from '../../../src/service/peer-relay/state-file.ts';
import { boundPair, RulesWorld } from '../../relay/udp/rules-world.ts';
import { RelayPeer } from '../../relay/udp/relay-peer.ts';

function directory(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'towpath-endpoints-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}

/** Fails if a problem is reported. */
const none = (why: string): void => assert.fail(why);

suite('endpoints for the next process', () => {
  test('come back as they were, once, and nobody else may read them', (t) => {
    const folder = directory(t);
    const world = new RulesWorld();
    boundPair(world);
    world.allocate(new RelayPeer(), new RelayPeer());
    const state = world.exportState();
    saveState(folder, state, 1000);
    assert.equal(statSync(path.join(folder, 'endpoints.json')).mode & 0o777, 0o600);
    const taken = takeState(folder, none, 3500);
    assert.deepEqual(structuredClone(taken?.state), state);
    assert.equal(taken?.ageMs, 2500);
    assert.deepEqual(readdirSync(folder), []);
    assert.equal(takeState(folder, none), null);
  });

  test('that are old, or of a far future, are not used', (t) => {
    const folder = directory(t);
    const state = new RulesWorld().exportState();
    for (const now of [300_000, 1_700_000]) {
      saveState(folder, state, 1_000_000);
      assert.equal(takeState(folder, none, now), null);
      assert.deepEqual(readdirSync(folder), []);
    }
  });

  test('are used when the clock was set back in between', (t) => {
    const folder = directory(t);
    saveState(folder, new RulesWorld().exportState(), 100_000);
    assert.equal(takeState(folder, none, 97_000)?.ageMs, 0);
  });

  test('that are a pipe without a writer, or have no end, are told of and not waited for', (t) => {
    const folder = directory(t);
    const file = path.join(folder, 'endpoints.json');
    const problemWith = (): string => {
      const problems: string[] = [];
      assert.equal(
        takeState(folder, (why) => problems.push(why)),
        null,
      );
      rmSync(file);
      return problems.join();
    };
    execFileSync('mkfifo', [file]);
    assert.equal(problemWith(), `${file}: this is a named pipe, not a file`);
    symlinkSync('/dev/zero', file);
    assert.equal(problemWith(), `${file}: it is longer than 128 MiB`);
  });

  test('that were changed are told of without a word from the file, and not used', (t) => {
    const folder = directory(t);
    const file = path.join(folder, 'endpoints.json');
    const world = new RulesWorld();
    boundPair(world);
    saveState(folder, world.exportState());
    const text = readFileSync(file, 'utf8');
    for (const changed of [
      text.slice(0, -1),
      '',
      'null',
      text.replace('"version":1', '"version":2'),
      text.replace(/"serverPrivateKey":"[^"]{8}/, '"serverPrivateKey":"'),
      text.replace('"words":[', '"words":["x",'),
    ]) {
      assert.notEqual(changed, text);
      writeFileSync(file, changed);
      const problems: string[] = [];
      assert.equal(
        takeState(folder, (why) => problems.push(why)),
        null,
      );
      assert.deepEqual(problems, [`${file} is not what this version writes`]);
    }
  });
});
