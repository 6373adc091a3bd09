import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { after, before, suite, test } from 'node:test';
import type {
  AdmissionAnswer,
  CertificateAnswer,
  ConnectionRow,
  ConnectionsAnswer,
  ErrorAnswer,
  HistoryAnswer,
  LimitsAnswer,
  LiveEvents,
  RefusalsAnswer,
  StatusAnswer,
  UdpSessionsAnswer,
} from '../../../src/api/shapes.ts';
import { formatNodeKey, generateNodeKeyPair } from '../../../src/wire/keys.ts';
import { ask } from '../../http/http-client.ts';
import { nextPacket, TestRelay, within } from '../support.ts';

let relay: TestRelay;
before(async () => {
  relay = await TestRelay.start();
});
after(() => relay.stop());

const admin = (): number => relay.relay.addresses.admin!.port;

async function get<Answer>(path: string): Promise<Answer> {
  const { status, body, headers } = await ask(admin(), `/api/v1/${path}`);
  assert.equal(status, 200, body);
  assert.equal(headers['content-type'], 'application/json');
  return JSON.parse(body) as Answer;
}

async function post(action: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await ask(admin(), `/api/v1/actions/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, ...(JSON.parse(answer.body) as Partial<ErrorAnswer> & { message?: string }) };
}

suite('the JSON API', () => {
  test('tells how the relay is', async () => {
    const status = await get<StatusAnswer>('status');
    assert.equal(status.isReady, true);
    assert.deepEqual(status.problems, []);
    assert.equal(status.publicKey, formatNodeKey(relay.relay.keyPair.publicKey));
    assert.equal(status.listeners.admin, `127.0.0.1:${admin()}`);
    // The test relay is open to everyone, and its configuration does not say that this is intended.
    assert.deepEqual(
      status.warnings.map(({ name }) => name),
      ['admission'],
    );
    relay.relay.health.set('descriptors', 'none are left');
    const worse = await get<StatusAnswer>('status');
    assert.deepEqual([worse.isReady, worse.isDraining, worse.problems[0]?.name], [false, false, 'descriptors']);
    assert.match(worse.problems[0]!.advice, /LimitNOFILE/);
    relay.relay.health.set('descriptors', null);
  });

  test('lists connections with what they sent and got, and one alone', async () => {
    const keys = generateNodeKeyPair();
    const [a, b] = [await relay.client({ keys }), await relay.client()];
    const arrived = nextPacket(b);
    a.send(b.publicKey, Buffer.alloc(500));
    await arrived;
    const hex = keys.publicKey.toString('hex');
    const { rows, matching, total } = await get<ConnectionsAnswer>(`connections?search=nodekey:${hex}`);
    assert.equal(matching, 1);
    assert.ok(total >= 2);
    const [row] = rows;
    assert.equal(row?.key, `nodekey:${hex}`);
    assert.deepEqual([row.state, row.ip, row.app], ['open', '127.0.0.1', '']);
    assert.deepEqual([row.received.bytes, row.received.packets], [500, 1]);
    assert.deepEqual(await get<ConnectionRow>(`connections/${row.id}`), row);
    const gone = await ask(admin(), '/api/v1/connections/999999');
    assert.equal(gone.status, 404);
    a.close();
    b.close();
  });

  test('says which parameters are wrong', async () => {
    for (const query of ['sort=length', 'page=0', 'size=501', 'page=-1', 'size=x', `search=${'x'.repeat(201)}`]) {
      const { status, body } = await ask(admin(), `/api/v1/connections?${query}`);
      assert.equal(status, 400, query);
      assert.match((JSON.parse(body) as ErrorAnswer).error.message, /allowed|longer/);
    }
    assert.equal((await ask(admin(), '/api/v1/nothing')).status, 404);
    assert.equal((await ask(admin(), '/api/v1/status', { method: 'POST' })).status, 405);
    const head = await ask(admin(), '/api/v1/events', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.allow], [405, 'GET']);
    assert.equal((await ask(admin(), '/api/v1/toString')).status, 404);
  });

  test('has certificate, admission, limits, refusals, history and UDP sessions', async () => {
    const certificate = await get<CertificateAnswer>('certificate');
    assert.deepEqual([certificate.transport, certificate.names], ['tls', ['127.0.0.1']]);
    assert.ok(certificate.daysLeft > 1);
    assert.deepEqual(await get<AdmissionAnswer>('admission'), { isOpen: true, sources: [], denials: [] });
    const { limits } = await get<LimitsAnswer>('limits');
    const connections = limits.find(({ name }) => name === 'limits.connections');
    assert.equal(connections?.value, 20_000);
    assert.ok((connections.used ?? -1) >= 0);
    const socket = await relay.tcp();
    socket.end('GET / HTTP/1.1\r\n\r\n');
    await relay.until(() => relay.relay.counters.refusals.tls_error > 0, 'plain HTTP on the TLS port is refused');
    const refusals = await get<RefusalsAnswer>('refusals');
    const refusal = refusals.reasons.find(({ reason }) => reason === 'tls_error');
    assert.deepEqual([refusal?.count, refusal?.perMinute.at(-1), refusal?.last[0]?.ip], [1, 1, '127.0.0.1']);
    assert.match(refusal?.meaning ?? '', /TLS/);
    assert.equal((await get<HistoryAnswer>('history')).stepSeconds, 5);
    assert.equal((await get<UdpSessionsAnswer>('udp-sessions')).isOn, false);
  });

  test('sends live events', async () => {
    const asked = request({ host: '127.0.0.1', port: admin(), path: '/api/v1/events?sort=-sent&size=5', agent: false });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(response.headers['content-type'], 'text/event-stream');
    const seen: Record<keyof LiveEvents, number> = { status: 0, connections: 0 };
    let text = '';
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [event, data] = text.slice(0, end).split('\n') as [string, string];
        text = text.slice(end + 2);
        JSON.parse(data.slice('data: '.length));
        seen[event.slice('event: '.length) as keyof LiveEvents]++;
      }
    });
    await relay.until(() => seen.status >= 3 && seen.connections >= 2, 'three and two events', 30_000);
    asked.destroy();
  });
});

suite('actions', () => {
  test('disconnect ends the connections of a key, which may come back', async () => {
    const keys = generateNodeKeyPair();
    const client = await relay.client({ keys });
    const closed = within(new Promise((resolve) => (client.handler = { closed: resolve })), 'the end');
    const key = formatNodeKey(keys.publicKey);
    const done = await post('disconnect', { key });
    assert.deepEqual([done.status, done.error], [200, undefined]);
    await closed;
    const again = await relay.client({ keys });
    again.close();
    const other = await post('disconnect', { key: formatNodeKey(generateNodeKeyPair().publicKey) });
    assert.deepEqual([other.status, other.error?.code], [404, 'not_connected']);
    const audit = relay.lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ audit }) => audit);
    assert.deepEqual(audit.map(({ action, key }) => [action, key]).slice(0, 1), [['disconnect', key]]);
    assert.match(String(audit[0]!['by']), /^127\.0\.0\.1 port \d+$/);
  });

  test('deny ends and refuses a key until it is taken back', async () => {
    const keys = generateNodeKeyPair();
    const key = formatNodeKey(keys.publicKey);
    const client = await relay.client({ keys });
    const closed = within(new Promise((resolve) => (client.handler = { closed: resolve })), 'the end');
    assert.equal((await post('deny', { key, seconds: 3600, reason: 'a test' })).status, 200);
    await closed;
    await assert.rejects(relay.client({ keys }));
    const { denials } = await get<AdmissionAnswer>('admission');
    assert.deepEqual(
      denials.map((denial) => [denial.key, denial.reason]),
      [[key, 'a test']],
    );
    assert.equal((await post('deny', { key, seconds: 0 })).status, 200);
    (await relay.client({ keys })).close();
  });

  test('limit changes a rate at once, and says what cannot be changed', async () => {
    const name = 'fairness.perClient.bytesPerSecond';
    assert.equal((await post('limit', { name, value: 123_456 })).status, 200);
    const { limits } = await get<LimitsAnswer>('limits');
    const changed = limits.find((limit) => limit.name === name);
    assert.deepEqual([changed?.value, changed?.isChanged, changed?.isChangeable], [123_456, true, true]);
    const client = await relay.client();
    assert.equal(client.facts.serverInfo.bytesPerSecond, 123_456);
    client.close();
    assert.equal((await post('limit', { name, value: 0 })).status, 200);
    const refused = await post('limit', { name: 'limits.connections', value: 5 });
    assert.deepEqual([refused.status, refused.error?.code], [400, 'unknown_limit']);
    assert.match(refused.error?.hint ?? '', /totalBytesPerSecond/);
  });

  test('are refused from other sites, with other types, and with bodies that are wrong', async () => {
    const key = formatNodeKey(generateNodeKeyPair().publicKey);
    const deny = { key, seconds: 5 };
    const status = async (headers: Record<string, string>) => (await post('deny', deny, headers)).status;
    assert.equal(await status({ Origin: 'https://evil.example' }), 403);
    assert.equal(await status({ Origin: 'null' }), 403);
    assert.equal(await status({ 'Sec-Fetch-Site': 'cross-site' }), 403);
    assert.equal(await status({ 'Content-Type': 'text/plain' }), 415);
    assert.equal(await status({ Host: 'evil.example' }), 403);
    assert.equal(await status({ Origin: `http://127.0.0.1:${admin()}`, 'Sec-Fetch-Site': 'same-origin' }), 200);
    for (const body of [
      { key },
      { key: 'x', seconds: 5 },
      { ...deny, seconds: -1 },
      { ...deny, more: 1 },
      [],
      'x',
      5,
    ]) {
      const answer = await post('deny', body);
      assert.deepEqual([answer.status, answer.error?.code], [400, 'invalid_body'], JSON.stringify(body));
    }
    const broken = await ask(admin(), '/api/v1/actions/deny', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{',
    });
    assert.equal(broken.status, 400);
    const large = await post('deny', { ...deny, reason: 'x'.repeat(20_000) });
    assert.equal(large.status, 413);
    assert.equal((await ask(admin(), '/api/v1/actions/deny')).status, 405);
  });

  test('reload and drain belong to the process', async () => {
    for (const action of ['reload', 'drain']) {
      const answer = await post(action, {});
      assert.deepEqual([answer.status, answer.error?.code], [409, 'embedded']);
    }
    const done: string[] = [];
    relay.relay.api.control = {
      reload: () => ({ error: done.length === 0 ? null : 'line 3: unknown key', restartKeys: [] }),
      drain: (why) => done.push(why),
    };
    assert.equal((await post('reload', {})).status, 200);
    assert.equal((await post('drain', {})).status, 200);
    assert.deepEqual(done, ['an action of the admin API']);
    const broken = await post('reload', {});
    assert.deepEqual([broken.status, broken.error?.code], [422, 'invalid_configuration']);
    relay.relay.api.control = null;
  });
});
