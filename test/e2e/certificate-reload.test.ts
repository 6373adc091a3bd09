import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import {
  formatCertificateKey,
  generateCertificateKey,
  makeSelfSigned,
} from '../../src/certificates/make-certificate.ts';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { transport } from '../../src/transport/runtime.ts';
import { FREE_PORTS, RelayProcess } from './relay-process.ts';

const DAY_MS = 86_400_000;

/** Writes a pair as a renewal does, and returns its pin. */
function renew(certPath: string, keyPath: string): string {
  const key = generateCertificateKey();
  const dates = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + 90 * DAY_MS) };
  const certPem = makeSelfSigned({ names: ['127.0.0.1'], ...dates }, key);
  for (const [file, text] of [
    [keyPath, formatCertificateKey(key)],
    [certPath, certPem],
  ] as const) {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  const der = Buffer.from(certPem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  return createHash('sha256').update(der).digest('hex');
}

function pinOf(client: DerpClient): string {
  return createHash('sha256').update(client.facts.tls!.chain[0]!).digest('hex');
}

suite('SIGHUP and the certificate', () => {
  test('reads it at once, although the configuration has an error; open connections live on', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'towpath-e2e-'));
    const config = path.join(folder, 'towpath.yaml');
    const [certPath, keyPath] = [path.join(folder, 'tls.crt'), path.join(folder, 'tls.key')];
    const clock = new Clock();
    clock.start();
    try {
      const before = renew(certPath, keyPath);
      writeFileSync(config, 'log: { level: info }\n');
      const files = ['--certificate-file', certPath, '--certificate-key-file', keyPath];
      const patience = ['--certificate-poll-seconds', '86400', '--config', config];
      const relay = new RelayProcess([...FREE_PORTS, '--no-self-test', ...files, ...patience], folder);
      try {
        const url = `https://127.0.0.1:${await relay.port('DERP')}/derp`;
        const connect = (): Promise<DerpClient> => connectDerp({ transport, clock, url, verify: { kind: 'none' } });
        const old = await connect();
        assert.equal(pinOf(old), before);
        const after = renew(certPath, keyPath);
        writeFileSync(config, 'log: { level: loud }\n');
        relay.child.kill('SIGHUP');
        await relay.says(/certificate reloaded/);
        const renewed = await connect();
        assert.equal(pinOf(renewed), after);
        assert.ok((await old.ping()) >= 0);
        relay.child.kill('SIGHUP');
        await relay.says(/the certificate files were read again: nothing has changed/);
        for (const client of [old, renewed]) client.abort();
        assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      } finally {
        await relay.clean();
      }
    } finally {
      clock.stop();
    }
  });
});
