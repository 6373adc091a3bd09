import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { makeCertificate } from '../transport/certificates.ts';
import { loadKeyFile, newKeyFileText } from '../../src/service/key-file.ts';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

/** Makes a credential as systemd does: it belongs to root, and an access control list allows the user to read it. */
const CREDENTIAL_MODE = 0o440;

test('a relay takes its key and its certificate from LoadCredential=, without a warning', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-credentials-'));
  const credentials = path.join(folder, 'credentials');
  mkdirSync(credentials);
  const { certPem, keyPem } = makeCertificate(['derp.example.com']);
  const files = { 'derper.key': newKeyFileText(), 'fullchain.pem': certPem, 'privkey.pem': keyPem };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(credentials, name), text);
    chmodSync(path.join(credentials, name), CREDENTIAL_MODE);
  }
  const config = path.join(folder, 'towpath.yaml');
  const at = (name: string): string => path.join(credentials, name);
  writeFileSync(
    config,
    `certificate: { mode: file, file: ${at('fullchain.pem')}, keyFile: ${at('privkey.pem')} }\nadmission: { open: true }\n`,
  );
  const env = { ...process.env, CREDENTIALS_DIRECTORY: credentials };
  const relay = new RelayProcess(
    [...FREE_PORTS, '--config', config, '--hostname', 'derp.example.com', '--key-file', at('derper.key')],
    undefined,
    undefined,
    undefined,
    { env },
  );
  t.after(async () => {
    await relay.clean();
    rmSync(folder, { recursive: true });
  });
  await relay.says(/"msg":"ready"/);
  assert.doesNotMatch(relay.output, /can be read by other users/);
  assert.equal(loadKeyFile(at('derper.key')).warnings.length, 1, 'outside of systemd the same rights are warned about');
});
