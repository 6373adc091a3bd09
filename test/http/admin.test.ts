import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { AdminAccess } from '../../src/http/admin-access.ts';
import { createAdminHandler } from '../../src/http/admin.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { Counters } from '../../src/observe/counters.ts';
import { Health } from '../../src/observe/health.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { ask, exchange, listen } from './http-client.ts';

const TOKEN = 'a-token-for-the-tests';

async function admin(
  t: TestContext,
  metrics?: { contentType: string; metrics(): Promise<string> },
  token: string | null = null,
) {
  const refused: string[] = [];
  const health = new Health();
  const counters = new Counters();
  const registry = metrics ?? createMetrics({ counters, version: '1', runtime: 'test' });
  const isRight = (header: string | undefined): boolean => token === null || header === `Bearer ${token}`;
  const access = new AdminAccess(['Towpath'], { isNeeded: token !== null, isRight });
  const handler = createAdminHandler({
    metrics: registry,
    health,
    access,
    refused: (_request, why) => refused.push(why),
  });
  return { health, refused, port: await listen(t, createHttpServer(handler)) };
}

describe('admin listener', () => {
  it('serves metrics, health, readiness and an index, and closes each connection', async (t) => {
    const { port, health } = await admin(t);
    const metrics = await ask(port, '/metrics');
    assert.equal(metrics.status, 200);
    assert.match(String(metrics.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    assert.match(metrics.body, /^towpath_build_info\{version="1",runtime="test"\} 1$/m);
    assert.equal((await ask(port, '/metrics', { method: 'HEAD' })).body, '');
    const healthy = await ask(port, '/healthz');
    assert.deepEqual([healthy.status, healthy.body, healthy.headers.connection], [200, 'ok\n', 'close']);
    assert.deepEqual([(await ask(port, '/readyz')).status], [200]);
    health.set('stun', 'cannot send');
    health.set('certificate', 'expired');
    const unready = await ask(port, '/readyz');
    assert.deepEqual([unready.status, unready.body], [503, 'certificate: expired\nstun: cannot send\n']);
    assert.match((await ask(port, '/')).body, /\/metrics/);
    assert.equal((await ask(port, '/favicon.ico')).status, 404);
  });

  it('takes GET and HEAD only', async (t) => {
    const { port } = await admin(t);
    const answer = await ask(port, '/metrics', { method: 'POST', body: 'x' });
    assert.deepEqual([answer.status, answer.headers.allow], [405, 'GET, HEAD']);
  });

  it('refuses names that are not its own, against DNS rebinding', async (t) => {
    const { port } = await admin(t);
    const status = async (Host: string): Promise<number> => (await ask(port, '/healthz', { headers: { Host } })).status;
    for (const host of ['127.0.0.1:9090', '10.0.0.1', '[::1]:9090', 'localhost', 'LOCALHOST:9090', 'towpath']) {
      assert.equal(await status(host), 200, host);
    }
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '::1', '[evil]']) {
      assert.equal(await status(host), 403, host);
    }
    assert.match(await exchange(port, 'GET /metrics HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /);
    assert.match(await exchange(port, 'GET /metrics HTTP/1.1\r\nHost:\r\n\r\n'), /^HTTP\/1\.1 403 /);
  });

  it('wants its token for all but the health, and then tells no reasons', async (t) => {
    const { port, health, refused } = await admin(t, undefined, TOKEN);
    for (const headers of [{}, { Authorization: 'Bearer no' }, { Authorization: TOKEN }]) {
      const answer = await ask(port, '/metrics', { headers });
      assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer']);
    }
    assert.equal(refused.length, 3);
    const Authorization = `Bearer ${TOKEN}`;
    assert.equal((await ask(port, '/metrics', { headers: { Authorization } })).status, 200);
    assert.equal((await ask(port, '/healthz')).status, 200);
    assert.equal((await ask(port, '/readyz')).status, 200);
    health.set('stun', 'cannot send');
    const open = await ask(port, '/readyz');
    assert.deepEqual([open.status, open.body], [503, 'not ready\n']);
    assert.match((await ask(port, '/readyz', { headers: { Authorization } })).body, /cannot send/);
  });

  it('answers 500 when the metrics fail', async (t) => {
    const { port } = await admin(t, { contentType: 'text/plain', metrics: () => Promise.reject(new Error('no')) });
    assert.equal((await ask(port, '/metrics')).status, 500);
  });
});
