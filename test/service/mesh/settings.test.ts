import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { TowpathError } from '../../../src/base/errors.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { meshSettings } from '../../../src/service/mesh/settings.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-mesh-'));
after(() => rmSync(folder, { recursive: true }));
const HEX = '0123456789abcdef'.repeat(4);
const NEXT = 'fedcba9876543210'.repeat(4);

function settings(env: Record<string, string>): ReturnType<typeof meshSettings> {
  const { config } = loadConfig({ env: { TOWPATH_HOSTNAME: '127.0.0.1', ...env } });
  return meshSettings(config.mesh, { NAME: HEX, CREDENTIALS_DIRECTORY: folder });
}

function file(text: string): string {
  const name = path.join(folder, 'key');
  writeFileSync(name, text);
  return name;
}

suite('the settings of the mesh', () => {
  test('§9.44 the key file: white space around, upper case, a second key during a change', () => {
    const keys = (text: string): string[] =>
      settings({ TOWPATH_MESH_KEY_FILE: file(text) }).keys.map((key) => Buffer.from(key).toString('hex'));
    assert.deepEqual(keys(` ${HEX.toUpperCase()}\r\n\n`), [HEX]);
    assert.deepEqual(keys(`${HEX}\n${NEXT}\n`), [HEX, NEXT]);
  });

  test('§9.42 §9.45 what is no key is refused, and never repeated', () => {
    for (const text of ['', HEX.slice(1), `${HEX}0`, `${HEX} ${HEX}`, '0'.repeat(64), `${HEX}\n`.repeat(3)]) {
      const name = file(text);
      assert.throws(
        () => settings({ TOWPATH_MESH_KEY_FILE: name }),
        (error) => {
          assert.ok(error instanceof TowpathError);
          assert.equal(error.code, 'TOWPATH_MESH_KEY');
          assert.ok(error.message.includes(name));
          assert.ok(!`${error.message} ${error.hint ?? ''}`.includes(HEX.slice(1, 9)));
          return true;
        },
      );
    }
    assert.throws(() => settings({ TOWPATH_MESH_KEY_FILE: path.join(folder, 'none') }), /cannot read .*ENOENT/);
  });

  test('the key from the environment and from a credential of systemd', () => {
    const key = (reference: string): string =>
      Buffer.from(settings({ TOWPATH_MESH_KEY: reference }).keys[0]!).toString('hex');
    assert.equal(key('env:NAME'), HEX);
    file(NEXT);
    assert.equal(key('credential:key'), NEXT);
    assert.throws(() => key('env:MISSING'), /the environment variable MISSING is empty or not set/);
  });

  test('entries of mesh.with: host, port, IPv6, no TLS, pin; each once', () => {
    const pin = 'ab'.repeat(32);
    const entries = `Relay-B.example.com, 192.0.2.7:8443,[2001:db8::7]:1,http://10.0.0.2:3340,_derp._tcp.example.com,c#sha256-raw:${pin},c#sha256-raw:${pin}`;
    const { with: found } = settings({ TOWPATH_MESH_KEY_FILE: file(HEX), TOWPATH_MESH_WITH: entries });
    assert.deepEqual(
      found.map(({ host, port, isSecure, pin: hash }) => [host, port, isSecure, hash]),
      [
        ['relay-b.example.com', null, true, null],
        ['192.0.2.7', 8443, true, null],
        ['2001:db8::7', 1, true, null],
        ['10.0.0.2', 3340, false, null],
        ['_derp._tcp.example.com', null, true, null],
        ['c', null, true, pin],
      ],
    );
  });

  test('what cannot be is refused by name', () => {
    const refused = (env: Record<string, string>, text: RegExp): void => assert.throws(() => settings(env), text);
    refused({ TOWPATH_MESH_WITH: 'relay-b' }, /mesh\.with.*needs a mesh key/);
    refused({ TOWPATH_MESH_KEY_FILE: file(HEX), TOWPATH_MESH_WITH: 'b:99999' }, /ports up to 65535/);
    refused({ TOWPATH_MESH_KEY_FILE: file(HEX), TOWPATH_MESH_WITH: 'ftp://b' }, /mesh\.with/);
    refused({ TOWPATH_MESH_KEY_FILE: file(HEX), TOWPATH_MESH_KEY: 'env:NAME' }, /together with mesh\.key/);
    refused({ TOWPATH_MESH_KEY: HEX }, /mesh\.key/);
  });
});
