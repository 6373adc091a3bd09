import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import * as fc from 'fast-check';
import { createProgram } from '../../src/cli/program.ts';
import { TowpathError } from '../../src/base/errors.ts';
import { parseHuJson } from '../../src/derp-map/hujson.ts';
import { lineDiff, policyWithRegion } from '../../src/derp-map/policy-edit.ts';

const REGION = {
  RegionID: 900,
  RegionCode: 'home',
  RegionName: 'At home',
  Nodes: [{ Name: '900a', RegionID: 900, HostName: 'derp.example.com', CanPort80: true }],
};
const MAP = { Regions: { '900': REGION } } as unknown as Parameters<typeof policyWithRegion>[1];
const POLICY = `// The policy of the tailnet.
{
  "acls": [
    // Everybody may do everything.
    { "action": "accept", "src": ["*"], "dst": ["*:*"] }, /* for now */
  ],
  "ssh": [],
}
`;

suite('a region in the policy file', () => {
  test('is added, and all else stays, comments too', () => {
    const text = policyWithRegion(POLICY, MAP);
    assert.deepEqual(parseHuJson(text), { ...(parseHuJson(POLICY) as object), derpMap: MAP });
    for (const line of POLICY.split('\n').filter((found) => /\/[/*]/.test(found))) assert.ok(text.includes(line), line);
    assert.equal(policyWithRegion(text, MAP), text, 'a second time changes nothing');
  });

  test('is replaced when it is of the same host, beside other regions', () => {
    const other =
      '{ "derpMap": { "OmitDefaultRegions": true, "Regions": { "901": null, /* ours: */ "900": { "RegionID": 900, "Nodes": [{ "HostName": "derp.example.com" }] } } } }';
    const found = parseHuJson(policyWithRegion(other, MAP)) as { derpMap: object };
    assert.deepEqual(found.derpMap, { OmitDefaultRegions: true, Regions: { '900': REGION, '901': null } });
    assert.ok(policyWithRegion(other, MAP).includes('/* ours: */'));
  });

  test('is refused when it is of another relay, or when the file is not a policy', () => {
    for (const [text, message] of [
      [
        '{"derpMap":{"Regions":{"900":{"Nodes":[{"HostName":"other.example.com"}]}}}}',
        /region 900 .* is other\.example\.com, not this relay/,
      ],
      ['{"derpMap":{"Regions":{"900":null}}}', /something that is not a relay/],
      ['[]', /not an object/],
      ['{"derpMap":1}', /derpMap is not an object/],
    ] as const) {
      assert.throws(() => policyWithRegion(text, MAP), message);
    }
  });

  test('any JSON object keeps what it has', () => {
    const value = fc
      .dictionary(fc.string(), fc.jsonValue())
      .filter((object) => !Object.keys(object).some((key) => key.toLowerCase() === 'derpmap' || key === '__proto__'));
    fc.assert(
      fc.property(value, (object) => {
        const text = JSON.stringify(object, null, 2);
        assert.deepEqual(
          JSON.parse(JSON.stringify(parseHuJson(policyWithRegion(text, MAP)))),
          JSON.parse(JSON.stringify({ ...object, derpMap: MAP })),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('the difference has the changed lines alone', () => {
    assert.equal(lineDiff('a\nb\nc\n', 'a\nx\nc\n'), '  a\n- b\n+ x\n  c\n  \n');
    assert.equal(lineDiff('a', 'a'), '');
  });
});

suite('towpath derp-map --apply tailscale', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-apply-'));
  const at = (name: string): string => path.join(folder, name);
  let policy = POLICY;
  let etag = '"1"';
  let url = '';
  let isChangedAfterRead = false;
  const seen: string[] = [];
  // As the API answers: HuJSON with an ETag, 412 for another version, JSON with a message for errors.
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (request.url === '/api/v2/oauth/token') {
        const isRight = body.includes('client_secret=the-secret');
        response.writeHead(isRight ? 200 : 401, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify(isRight ? { access_token: 'tskey', expires_in: 3600 } : { message: 'API token invalid' }),
        );
      } else if (request.headers.authorization !== 'Bearer tskey') {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"message":"API token invalid"}');
      } else if (request.method === 'GET') {
        response.writeHead(200, { 'content-type': 'application/hujson', etag }).end(policy);
        if (isChangedAfterRead) etag = '"other"';
      } else if (request.headers['if-match'] !== etag) {
        response
          .writeHead(412, { 'content-type': 'application/json' })
          .end('{"message":"precondition failed, invalid old hash"}');
      } else {
        policy = body;
        etag = '"2"';
        response.writeHead(200, { 'content-type': 'application/hujson', etag }).end(policy);
      }
    });
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(at('key'), 'tskey\n');
    writeFileSync(at('secret'), 'the-secret\n');
    writeFileSync(
      at('towpath.yaml'),
      `hostname: derp.example.com\nkeyFile: key.json\ncertificate:\n  directory: certs\n`,
    );
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  async function apply(...flags: string[]): Promise<string> {
    let out = '';
    const argv = ['derp-map', '--config', at('towpath.yaml'), '--apply', 'tailscale', '--api-url', url, ...flags];
    const program = await createProgram(argv);
    for (const command of [program, ...program.commands]) {
      command.configureOutput({ writeOut: (text) => (out += text), writeErr: () => undefined });
    }
    await program.parseAsync(argv, { from: 'user' });
    return out;
  }

  test('needs a credential, and says which', async () => {
    await assert.rejects(apply(), /needs --api-key-file, or --client-id/);
    writeFileSync(at('wrong'), 'wrong-key\n');
    await assert.rejects(apply('--api-key-file', at('wrong')), (error) => {
      assert.ok(error instanceof TowpathError);
      return (
        /status 401/.test(error.message) && !/wrong-key/.test(error.message) && /Policy file/.test(error.hint ?? '')
      );
    });
  });

  test('--dry-run shows the change and makes none', async () => {
    const out = await apply('--api-key-file', at('key'), '--dry-run');
    assert.match(out, /^\+ .*"derpMap": \{$/m);
    assert.match(out, /Nothing was changed\.\n$/);
    assert.equal(policy, POLICY);
  });

  test('does not write over the change of somebody else', async () => {
    isChangedAfterRead = true;
    await assert.rejects(apply('--api-key-file', at('key')), /the policy file has changed meanwhile/);
    isChangedAfterRead = false;
    assert.equal(policy, POLICY);
  });

  test('writes it, by an OAuth client too, and finds it there the next time', async () => {
    const flags = ['--client-id', 'k1', '--client-secret-file', at('secret'), '--tailnet', 'example.com'];
    assert.match(await apply(...flags), /The policy file was changed\.\n$/);
    assert.ok(policy.includes('// Everybody may do everything.'));
    assert.ok(seen.includes('POST /api/v2/tailnet/example.com/acl'));
    assert.match(await apply(...flags), /has this region already/);
  });
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return text;
}
