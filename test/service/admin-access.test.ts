import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { AdminClient } from '../../src/client/admin-client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { adminTarget } from '../../src/service/admin-target.ts';
import { AdminToken } from '../../src/service/admin-token.ts';
import { TestRelay } from './support.ts';

const TOKEN = 'cc2f7a1e9b8d4c60';
let folder: string;
before(() => (folder = mkdtempSync(path.join(tmpdir(), 'towpath-admin-'))));
after(() => rmSync(folder, { recursive: true }));

function problemOf(yaml: string): string {
  const file = path.join(folder, 'towpath.yaml');
  writeFileSync(file, yaml);
  try {
    loadConfig({ file });
    return '';
  } catch (error) {
    return String(error);
  }
}

suite('the admin listener', () => {
  test('is refused where others can reach it without TLS and a token', () => {
    const safe = 'tls: true, tokenFile: /x';
    for (const listen of ['0.0.0.0:9090', '"[::]:9090"', '192.0.2.1:9090']) {
      assert.match(problemOf(`admin: ${listen}`), /admin\.listen: found .* allowed: a loopback address/);
      assert.match(problemOf(`admin: { listen: ${listen}, tls: true }`), /allowed: a loopback address/);
      assert.match(problemOf(`admin: { listen: ${listen}, tokenFile: /x }`), /allowed: a loopback address/);
      assert.equal(problemOf(`admin: { listen: ${listen}, ${safe} }`), '');
    }
    for (const listen of ['127.0.0.1:9090', '"[::1]:9090"', '9090', 'off']) {
      assert.equal(problemOf(`admin: ${listen}`), '', listen);
    }
    assert.match(problemOf('admin: { names: [relay.example.com] }'), /names: a name needs a token/);
    assert.match(problemOf('admin: { token: secret }'), /token: .*env:NAME/);
    assert.match(
      problemOf('transport: plain\nproxy: { trusted: 127.0.0.1 }\nadmin: { tls: true }'),
      /admin\.tls: .*transport plain/,
    );
  });

  test('answers on a Unix socket that only owner and group may use, and replaces a stale one', async () => {
    const socket = path.join(folder, 'admin.sock');
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(socket, resolve));
    const relay = await TestRelay.start({ TOWPATH_ADMIN: 'off', TOWPATH_ADMIN_SOCKET: `${socket}2` });
    assert.equal(statSync(`${socket}2`).mode & 0o777, 0o660);
    const client = new AdminClient(adminTarget(relay.config.admin)!);
    assert.equal((await client.status()).isReady, true);
    assert.equal((await client.get('/healthz')).status, 200);
    await assert.rejects(client.act('deny', { key: 'x', seconds: 1 }), /nodekey:/);
    const audit = relay.lines.map((line) => JSON.parse(line) as Record<string, unknown>).find(({ audit }) => audit);
    assert.equal(audit?.['by'], 'unix socket');
    await relay.stop();
    assert.equal(existsSync(`${socket}2`), false);
    await assert.rejects(TestRelay.start({ TOWPATH_ADMIN_SOCKET: socket }), /admin: .*EADDRINUSE|Unix socket/);
    other.close();
    // The socket of a killed process stays.
    const killed = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', killed]);
    assert.ok(existsSync(socket));
    const next = await TestRelay.start({ TOWPATH_ADMIN: 'off', TOWPATH_ADMIN_SOCKET: socket });
    assert.equal((await new AdminClient(adminTarget(next.config.admin)!).status()).isReady, true);
    await next.stop();
  });

  test('wants its token over TLS, takes a new one at a reload, and keeps the old one when that is unusable', async () => {
    const file = path.join(folder, 'token');
    writeFileSync(file, `${TOKEN}\n`);
    const relay = await TestRelay.start({ TOWPATH_ADMIN_TLS: 'true', TOWPATH_ADMIN_TOKEN_FILE: file });
    const { port } = relay.relay.addresses.admin!;
    const target = { url: `https://127.0.0.1:${port}`, caPem: relay.relay.certificate.current().certPem };
    assert.equal((await new AdminClient({ ...target, token: TOKEN }).status()).isReady, true);
    assert.equal((await new AdminClient({ ...target, token: null }).get('/readyz')).status, 200);
    await assert.rejects(new AdminClient({ ...target, token: null }).status(), /needs a token/);
    await assert.rejects(new AdminClient({ ...target, token: `${TOKEN}0` }).status(), /does not accept this token/);
    assert.equal(relay.relay.counters.refusals.admin_access, 2);
    writeFileSync(file, `new-${TOKEN}`);
    relay.relay.reloadFiles();
    await assert.rejects(new AdminClient({ ...target, token: TOKEN }).status(), /does not accept this token/);
    writeFileSync(file, 'short');
    relay.relay.reloadFiles();
    assert.equal((await new AdminClient({ ...target, token: `new-${TOKEN}` }).status()).isReady, true);
    assert.ok(relay.lines.some((line) => line.includes('the old admin token stays in use')));
    assert.ok(!relay.lines.some((line) => line.includes(TOKEN)), 'no token in the log');
    await relay.stop();
  });
});

suite('the admin token', () => {
  const admin = { listen: null, tls: false, names: [], token: 'env:ADMIN' };

  test('is compared whole', () => {
    const token = new AdminToken(admin, { ADMIN: TOKEN });
    assert.equal(token.isRight(`Bearer ${TOKEN}`), true);
    assert.equal(token.isRight(`bearer  ${TOKEN} `), true);
    for (const header of [undefined, '', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, 'Bearer ', 'Bearer é']) {
      assert.equal(token.isRight(header), false, header);
    }
  });

  test('is refused when it is missing, short or not ASCII, without being shown', () => {
    for (const value of [undefined, '', 'short', `${TOKEN} ${TOKEN}`, 'ééééééééééééééééééééé']) {
      assert.throws(() => new AdminToken(admin, { ADMIN: value }), { code: 'TOWPATH_ADMIN_TOKEN' });
    }
    assert.throws(
      () => new AdminToken({ ...admin, token: undefined, tokenFile: path.join(folder, 'none') }, {}),
      /cannot be read/,
    );
  });
});
