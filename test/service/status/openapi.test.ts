import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { ask, type Answer } from '../../http/http-client.ts';
import { nextPacket, TestRelay } from '../support.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');

interface Operation {
  readonly responses: Readonly<Record<string, { readonly $ref?: string }>>;
}
interface Description {
  readonly paths: Readonly<Record<string, { readonly get?: Operation; readonly post?: Operation }>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly responses: Readonly<
      Record<
        string,
        { readonly content: { readonly 'application/json': { readonly schema: { readonly $ref: string } } } }
      >
    >;
  };
}

const description = parse(readFileSync(path.join(ROOT, 'docs/openapi.yaml'), 'utf8')) as Description;
const definitions = JSON.parse(
  JSON.stringify(description.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
) as Record<string, unknown>;

/** Checks an answer against the schema that the description gives for this path, method and status. */
function checkAnswer(template: string, method: 'get' | 'post', answer: Answer): void {
  const responses = description.paths[template]?.[method]?.responses;
  assert.ok(responses !== undefined, `${method} ${template} is described`);
  const response = responses[String(answer.status)] ?? responses['default'];
  const name = response!.$ref!.split('/').at(-1)!;
  const schema = description.components.responses[name]!.content['application/json'].schema.$ref.split('/').at(-1)!;
  const checker = z.fromJSONSchema({ $ref: `#/$defs/${schema}`, $defs: definitions } as never);
  const result = checker.safeParse(JSON.parse(answer.body));
  assert.ok(result.success, `${method} ${template} ${answer.status}: ${result.error?.message ?? ''}`);
}

let relay: TestRelay;
before(async () => {
  relay = await TestRelay.start();
});
after(() => relay.stop());

const ask1 = (where: string, options: Parameters<typeof ask>[2] = {}): Promise<Answer> =>
  ask(relay.relay.addresses.admin!.port, `/api/v1${where}`, options);

suite('docs/openapi.yaml', () => {
  test('describes the answers of every path that can be read', async () => {
    const [a, b] = [await relay.client(), await relay.client()];
    const arrived = nextPacket(b);
    a.send(b.publicKey, Buffer.alloc(500));
    await arrived;
    (await relay.tcp()).end('GET / HTTP/1.1\r\n\r\n');
    await relay.until(() => relay.relay.counters.refusals.tls_error > 0, 'a refusal');
    relay.relay.health.set('descriptors', 'none are left');
    const list = await ask1('/connections');
    const { rows } = JSON.parse(list.body) as { rows: { id: string }[] };
    for (const template of Object.keys(description.paths)) {
      if (template.startsWith('/actions/') || template === '/events') continue;
      const where = template.replace('{id}', rows[0]!.id);
      const answer = await ask1(where);
      assert.equal(answer.status, 200, where);
      checkAnswer(template, 'get', answer);
    }
    checkAnswer('/connections/{id}', 'get', await ask1('/connections/0'));
    checkAnswer('/connections', 'get', await ask1('/connections?page=0'));
    relay.relay.health.set('descriptors', null);
  });

  test('describes the answers of every action', async () => {
    const client = await relay.client();
    const key = `nodekey:${client.publicKey.toString('hex')}`;
    relay.relay.api.control = { reload: () => ({ error: null, restartKeys: ['listen'] }), drain: () => undefined };
    const bodies: Record<string, object> = {
      deny: { key, seconds: 1 },
      disconnect: { key },
      limit: { name: 'fairness.totalBytesPerSecond', value: 0 },
      reload: {},
      drain: {},
    };
    const described = Object.keys(description.paths).filter((template) => template.startsWith('/actions/'));
    assert.deepEqual(described.map((template) => template.split('/').at(-1)).sort(), Object.keys(bodies).sort());
    for (const template of described) {
      const body = JSON.stringify(bodies[template.split('/').at(-1)!]);
      const headers = { 'Content-Type': 'application/json' };
      checkAnswer(template, 'post', await ask1(template, { method: 'POST', headers, body }));
      checkAnswer(template, 'post', await ask1(template, { method: 'POST', headers, body: '{"x":1}' }));
    }
  });

  test('would notice a field that is not described', () => {
    const body = JSON.stringify({ done: true, message: 'x', more: 1 });
    assert.throws(() => checkAnswer('/actions/drain', 'post', { status: 200, headers: {}, body }), /more/);
  });
});
