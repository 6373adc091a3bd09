import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Command } from 'commander';
import { registerKeygen } from '../../src/cli/keygen.ts';
import { loadKeyFile, parseKeyFile } from '../../src/service/key-file.ts';
import { formatNodeKey } from '../../src/wire/keys.ts';

function keygen(...args: string[]): { out: string; err: string } {
  const said = { out: '', err: '' };
  const program = new Command().configureOutput({
    writeOut: (text) => (said.out += text),
    writeErr: (text) => (said.err += text),
  });
  registerKeygen(program);
  program.parse(['keygen', ...args], { from: 'user' });
  return said;
}

describe('towpath keygen', () => {
  let directory = '';
  before(() => (directory = mkdtempSync(join(tmpdir(), 'towpath-keygen-'))));
  after(() => rmSync(directory, { recursive: true }));

  it('prints a key file, and its public key beside it', () => {
    const { out, err } = keygen();
    assert.equal(err, `${formatNodeKey(parseKeyFile(out, 'stdout').publicKey)}\n`);
  });

  it('writes a file, prints the public key only, and refuses to do it twice', () => {
    const path = join(directory, 'derper.key');
    const { out, err } = keygen('--out', path);
    assert.equal(out, `${formatNodeKey(loadKeyFile(path).keyPair.publicKey)}\n`);
    assert.equal(err, '');
    assert.throws(() => keygen('--out', path), { code: 'TOWPATH_KEY_FILE_EXISTS' });
  });
});
