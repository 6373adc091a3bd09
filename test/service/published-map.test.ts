import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as requestPlain, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { TowpathError } from '../../src/base/errors.ts';
import { parseDerpMap } from '../../src/derp-map/derp-map.ts';
import { formatPin } from '../../src/wire/pin.ts';
import { TestRelay } from './support.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-published-'));
after(() => rmSync(folder, { recursive: true }));
const pathFile = path.join(folder, 'path');
const SECRET = 'an-honest_secret-1';

function ask(options: RequestOptions & { isTls: boolean }): Promise<{ status: number; type: string; body: string }> {
  const request = options.isTls ? requestTls({ ...options, rejectUnauthorized: false }) : requestPlain(options);
  return new Promise((resolve, reject) => {
    request.on('error', reject).on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, type: String(response.headers['content-type']), body }),
      );
    });
    request.end();
  });
}

suite('the DERP map that the relay hands out', () => {
  test('is there under the secret path, with the pin in use, and over TLS alone', async () => {
    writeFileSync(pathFile, `${SECRET}\n`);
    const relay = await TestRelay.start({ TOWPATH_DERP_MAP_PUBLISH_PATH_FILE: pathFile });
    try {
      const main = { isTls: true, host: '127.0.0.1', port: relay.port };
      const http = { isTls: false, host: '127.0.0.1', port: relay.relay.addresses.http[0]!.port };
      const found = await ask({ ...main, path: `/derpmap/${SECRET}` });
      assert.deepEqual([found.status, found.type], [200, 'application/json']);
      const [region] = Object.values(
        (JSON.parse(found.body) as { Regions: Record<string, { Nodes: { CertName: string }[] }> }).Regions,
      );
      assert.equal(region?.Nodes[0]?.CertName, formatPin(relay.relay.certificate.info().pinSha256));
      assert.ok(parseDerpMap(JSON.parse(found.body)));
      const home = await ask({ ...main, path: '/' });
      for (const wrong of ['/derpmap', '/derpmap/', '/derpmap/another-secret-12345', `/derpmap/${SECRET}/`]) {
        assert.deepEqual(await ask({ ...main, path: wrong }), home, wrong);
      }
      assert.equal((await ask({ ...main, path: `/derpmap/${SECRET}`, method: 'POST' })).body, home.body);
      assert.equal((await ask({ ...http, path: `/derpmap/${SECRET}` })).status, 302);
      assert.ok(relay.lines.every((line) => !line.includes(SECRET)));
    } finally {
      await relay.stop();
    }
  });

  test('is there without TLS where that is said', async () => {
    writeFileSync(pathFile, SECRET);
    const env = { TOWPATH_DERP_MAP_PUBLISH_PATH_FILE: pathFile, TOWPATH_DERP_MAP_PUBLISH_PLAIN_HTTP: 'true' };
    const relay = await TestRelay.start(env);
    try {
      const { port } = relay.relay.addresses.http[0]!;
      assert.equal((await ask({ isTls: false, host: '127.0.0.1', port, path: `/derpmap/${SECRET}` })).status, 200);
    } finally {
      await relay.stop();
    }
  });

  test('a path that can be guessed is refused at the start', async () => {
    for (const text of ['', 'short', 'with a blank in it 12345', 'x'.repeat(129)]) {
      writeFileSync(pathFile, text);
      await assert.rejects(TestRelay.start({ TOWPATH_DERP_MAP_PUBLISH_PATH_FILE: pathFile }), (error) => {
        assert.ok(error instanceof TowpathError);
        return (
          /16 to 128/.test(error.message) && /openssl rand/.test(error.hint ?? '') && !error.message.includes('blank')
        );
      });
    }
  });
});
