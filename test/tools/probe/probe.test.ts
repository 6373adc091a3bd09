import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { createLog } from '../../../src/observe/log.ts';
import { Service } from '../../../src/service/service.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { formatPin, pinOf } from '../../../src/wire/pin.ts';
import { directory, probe, step } from './probe-support.ts';

describe('towpath probe of a towpath', () => {
  let relay: Service;
  let url = '';
  let stunPort = '';
  let pin = '';
  before(async () => {
    const { config } = loadConfig({
      flags: {
        listen: '127.0.0.1:0',
        http: '127.0.0.1:0',
        'admin.listen': 'off',
        'stun.listen': '127.0.0.1:0',
        hostname: '127.0.0.1',
        keyFile: join(directory, 'key'),
        'certificate.directory': directory,
      },
    });
    relay = new Service(config, transport, createLog({ level: 'silent', format: 'json' }).log);
    await relay.start();
    url = `https://127.0.0.1:${relay.addresses.derp[0]!.port}/derp`;
    stunPort = String(relay.addresses.stun[0]!.port);
    pin = formatPin(pinOf(new X509Certificate(relay.certificate.current().certPem).raw));
  });
  after(() => relay.close());

  it('finds all good', async () => {
    const httpPort = String(relay.addresses.http[0]!.port);
    const { out, code } = await probe(url, '--stun-port', stunPort, '--http-port', httpPort, '--pin', pin);
    assert.equal(code, 0, out);
    assert.match(step(out, 'DNS'), /^ {2}– DNS +not needed/);
    assert.match(step(out, 'TCP over IPv4'), /✓ .* ms {2}127\.0\.0\.1:\d+ accepts connections$/);
    assert.match(step(out, 'TCP over IPv6'), /– .* no IPv6 address$/);
    assert.match(step(out, 'TLS'), /✓ .* TLSv1\.3, pin matches, expires \d{4}-\d\d-\d\d \(\d+ days\), 1 in chain$/);
    assert.match(step(out, 'Login  '), /✓ .* fast start and 101, protocol 2$/);
    assert.match(step(out, 'Login by WebSocket'), /✓ .* 101, protocol 2$/);
    assert.match(step(out, 'Packets'), /✓ .* 50 packets, round trip p50 [\d.]+ ms, p99 [\d.]+ ms, ping [\d.]+ ms$/);
    assert.match(step(out, 'STUN over IPv4'), /✓ .* the relay sees this machine as 127\.0\.0\.1:\d+$/);
    assert.match(step(out, 'Captive portal check'), /✓ .* answers with 204 and the right response$/);
    assert.match(out, /\nAll good\n$/);
  });

  it('sends its packets by WebSocket', async () => {
    const { out, code } = await probe(url, '--stun-port', '-1', '--pin', pin, '--websocket', '--packets', '5');
    assert.equal(code, 0, out);
    assert.match(step(out, 'Packets'), /5 packets/);
    assert.match(step(out, 'STUN over IPv4'), /– .* no STUN/);
  });

  it('reads a DERP map, one region of it, and prints JSON', async () => {
    const node = { Name: '900a', RegionID: 900, HostName: '127.0.0.1', CertName: pin, IPv4: '127.0.0.1', IPv6: 'none' };
    const { port } = relay.addresses.derp[0]!;
    const stunOnly = { Name: '901a', RegionID: 901, HostName: '127.0.0.1', STUNOnly: true, STUNPort: Number(stunPort) };
    const map = {
      Regions: {
        900: { RegionID: 900, RegionCode: 'own', Nodes: [{ ...node, DERPPort: port, STUNPort: Number(stunPort) }] },
        901: { RegionID: 901, RegionCode: 'stun', Nodes: [stunOnly] },
      },
    };
    const path = join(directory, 'map.json');
    writeFileSync(path, JSON.stringify(map));
    const { out, code } = await probe(path, '--region', 'own', '--json', '--packets', '3');
    assert.equal(code, 0, out);
    const report = JSON.parse(out) as {
      ok: boolean;
      relays: { name: string; ok: boolean; steps: { step: string; details: object }[] }[];
    };
    assert.deepEqual([report.ok, report.relays.length, report.relays[0]!.name], [true, 1, '900a']);
    const packets = report.relays[0]!.steps.find((entry) => entry.step === 'packets');
    assert.deepEqual(Object.keys(packets!.details), ['sent', 'lost', 'altered', 'p50Ms', 'p99Ms', 'pingMs']);
    const only = await probe(path, '--region', '901');
    assert.equal(only.code, 0);
    assert.match(only.out, /^901a {2}127\.0\.0\.1 \(STUN only\)\n/);
    assert.doesNotMatch(only.out, /TLS/);
    await assert.rejects(probe(path, '--region', '5'), { code: 'TOWPATH_USAGE', message: /no region "5"/ });
  });

  it('looks names up, and fetches the map from a URL', async () => {
    const { port } = relay.addresses.derp[0]!;
    const node = {
      Name: 'n',
      RegionID: 1,
      HostName: 'localhost',
      IPv6: 'none',
      CertName: pin,
      DERPPort: port,
      STUNPort: -1,
    };
    const regions: Record<string, unknown> = { 1: { RegionID: 1, Nodes: [{ ...node, InsecureForTests: true }] } };
    const server = createServer((request, response) => {
      if (request.url === '/map.json') response.end(JSON.stringify({ regions }));
      else if (request.url === '/endless') response.end(' '.repeat(5_000_000));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const { out } = await probe(`${base}/map.json`, '--packets', '1', '--insecure');
      assert.match(step(out, 'DNS'), /✓ .* localhost is .*127\.0\.0\.1/);
      assert.match(step(out, 'Packets'), /✓/);
      await assert.rejects(probe(`${base}/nothing`), { code: 'TOWPATH_PROBE_MAP', message: /HTTP 404/ });
      await assert.rejects(probe(`${base}/endless`), { code: 'TOWPATH_PROBE_MAP', message: /longer than/ });
    } finally {
      server.close();
    }
    await assert.rejects(probe(`${base}/map.json`), {
      code: 'TOWPATH_PROBE_MAP',
      message: /fetch failed \(|ECONNREFUSED/,
    });
  });

  it('names the pin that a wrong one should have been', async () => {
    const { out, code } = await probe(url, '--stun-port', '-1', '--pin', formatPin('0'.repeat(64)));
    assert.equal(code, 1);
    assert.match(step(out, 'TLS'), new RegExp(`✗ [^]*→ If this certificate is right, set CertName to "${pin}"\\.`));
    assert.match(step(out, 'Packets'), /– .* no TLS/);
    assert.match(out, /\nNot good: 127\.0\.0\.1:\d+\n$/);
  });

  it('says what to do about a self-signed certificate', async () => {
    const { out, code } = await probe(url, '--stun-port', '-1');
    assert.equal(code, 1);
    assert.match(
      step(out, 'TLS'),
      new RegExp(`failed: self-signed certificate\\n +→ It is self-signed: probe with --pin ${pin}`),
    );
  });

  it('takes the authority of --ca', async () => {
    const path = join(directory, 'ca.pem');
    writeFileSync(path, new X509Certificate(relay.certificate.current().certPem).toString());
    const { out, code } = await probe(url, '--stun-port', '-1', '--ca', path, '--packets', '2');
    assert.equal(code, 0, out);
    assert.match(step(out, 'TLS'), /trusted/);
  });

  it('finds STUN shut, and a web server that is no captive portal answer', async () => {
    const silent = await transport.bindDatagram('127.0.0.1', 0, { datagram: () => undefined, error: () => undefined });
    const port = new URL(url).port;
    const args = ['--stun-port', String(silent.address.port), '--http-port', port, '--insecure', '--timeout', '1'];
    const { out, code } = await probe(url, ...args);
    await silent.close();
    assert.equal(code, 1);
    assert.match(step(out, 'STUN over IPv4'), /✗ [^]*→ Open UDP port \d+/);
    assert.match(step(out, 'Captive portal check'), /✗ [^]*→ Clients take this for a captive portal/);
  });
});

describe('usage of towpath probe', () => {
  writeFileSync(join(directory, 'no.yaml'), 'a: [');
  writeFileSync(join(directory, 'empty.json'), '{}');
  const wrong: [string, string[]][] = [
    ['a file that is no map', [join(directory, 'no.yaml')]],
    ['a map without relays', [join(directory, 'empty.json')]],
    ['a file that is not there', [join(directory, 'nothing.json')]],
    ['--region with a URL', ['https://127.0.0.1/derp', '--region', '1']],
    ['a CA file that is not there', ['https://127.0.0.1/derp', '--ca', join(directory, 'nothing.pem')]],
  ];
  for (const [what, args] of wrong) it(what, () => assert.rejects(probe(...args), { code: 'TOWPATH_USAGE' }));

  const refused: [string, string[]][] = [
    ['a pin that is none', ['--pin', 'abc']],
    ['pin and CA', ['--pin', formatPin('0'.repeat(64)), '--ca', 'x']],
    ['pin and no verification', ['--pin', formatPin('0'.repeat(64)), '--insecure']],
    ['no packets', ['--packets', '0']],
    ['too many packets', ['--packets', '1000000']],
    ['half a second', ['--timeout', '0.5']],
    ['a port that is none', ['--stun-port', '65536']],
  ];
  for (const [what, args] of refused) {
    it(what, () => assert.rejects(probe('https://127.0.0.1/derp', ...args), { name: 'CommanderError' }));
  }
});
