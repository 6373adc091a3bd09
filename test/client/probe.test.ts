import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { Command } from 'commander';
import { registerProbe } from '../../src/cli/probe.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/observe/log.ts';
import { Relay } from '../../src/server/relay.ts';
import { transport } from '../../src/transport/runtime.ts';
import { encodeFrame, FrameType } from '../../src/wire/frames.ts';
import { formatPin, pinOf } from '../../src/wire/pin.ts';
import { certificateFor, FakeRelay } from './fake-relay.ts';

const directory = mkdtempSync(join(tmpdir(), 'towpath-probe-'));
after(() => rmSync(directory, { recursive: true }));

/** Runs `towpath probe` and returns what it printed and its exit code. */
async function probe(...args: string[]): Promise<{ out: string; code: number }> {
  let out = '';
  const program = new Command()
    .exitOverride()
    .configureOutput({ writeOut: (text) => (out += text), writeErr: () => undefined });
  registerProbe(program);
  try {
    await program.parseAsync(['probe', ...args], { from: 'user' });
    return { out, code: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = undefined;
  }
}

/** The line of a step, and the fix below it. */
function step(out: string, label: string): string {
  const lines = out.split('\n');
  const at = lines.findIndex((line) => line.slice(4).startsWith(label));
  assert.notEqual(at, -1, `no step "${label}" in\n${out}`);
  const next = lines[at + 1]!;
  return next.includes('→') ? `${lines[at]!}\n${next}` : lines[at]!;
}

describe('towpath probe of a towpath', () => {
  let relay: Relay;
  let url = '';
  let stunPort = '';
  let pin = '';
  before(async () => {
    const { config } = loadConfig({
      flags: {
        listen: '127.0.0.1:0',
        http: '127.0.0.1:0',
        admin: 'off',
        'stun.listen': '127.0.0.1:0',
        hostname: '127.0.0.1',
        keyFile: join(directory, 'key'),
        'certificate.directory': directory,
      },
    });
    relay = new Relay(config, transport, createLog({ level: 'silent', format: 'json' }).log);
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
    assert.match(step(out, 'Packets'), /✓ .* 50 packets, there and back p50 [\d.]+ ms, p99 [\d.]+ ms, ping [\d.]+ ms$/);
    assert.match(step(out, 'STUN over IPv4'), /✓ .* this machine is seen as 127\.0\.0\.1:\d+$/);
    assert.match(step(out, 'Captive portal check'), /✓ .* answers 204 and the challenge$/);
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
      new RegExp(`failed: self-signed certificate\\n +→ It is self-signed: check with --pin ${pin}`),
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
    assert.match(step(out, 'Captive portal check'), /✗ [^]*→ Clients would take this for a captive portal/);
  });
});

describe('towpath probe of relays that are not well', () => {
  let relay: FakeRelay | null = null;
  afterEach(async () => {
    await relay?.stop();
    relay = null;
  });

  it('nothing listens', async () => {
    relay = await FakeRelay.start();
    const { url } = relay;
    await relay.stop();
    relay = null;
    const { out, code } = await probe(url, '--stun-port', '-1');
    assert.equal(code, 1);
    assert.match(step(out, 'TCP over IPv4'), /✗ [^]*→ Nothing listens there/);
    assert.match(step(out, 'TLS'), /no TCP connection/);
  });

  it('a name that does not exist', async () => {
    const { out, code } = await probe('https://relay.invalid/derp', '--timeout', '5');
    assert.equal(code, 1);
    assert.match(step(out, 'DNS'), /✗ [^]*→ Check the spelling of relay\.invalid/);
  });

  it('a certificate that ends soon is a warning', async () => {
    relay = await FakeRelay.start({}, certificateFor(3.5));
    const { out, code } = await probe(relay.url, '--stun-port', '-1', '--insecure', '--packets', '2');
    assert.equal(code, 0, out);
    assert.match(step(out, 'TLS'), /! [^]*→ Renew the certificate: it expires in 3 days/);
    assert.match(step(out, 'Login  '), /101, no fast start/);
    // The fake speaks no WebSocket.
    assert.match(step(out, 'Login by WebSocket'), /!/);
    assert.match(out, /\nGood, with 2 warnings\n$/);
  });

  it('a certificate that has ended, and one for another name', async () => {
    relay = await FakeRelay.start({}, certificateFor(-1));
    const pair = certificateFor(30, 'relay.example.com');
    const other = await FakeRelay.start({}, pair);
    const path = join(directory, 'other.pem');
    writeFileSync(path, pair.certPem);
    const ended = await probe(relay.url, '--stun-port', '-1');
    const wrong = await probe(other.url, '--stun-port', '-1', '--ca', path);
    await other.stop();
    assert.match(step(ended.out, 'TLS'), /→ Renew the certificate: it has expired/);
    assert.match(
      step(wrong.out, 'TLS'),
      /→ Get a certificate for 127\.0\.0\.1; this one is for DNS:relay\.example\.com/,
    );
  });

  it('a relay that does not admit the key', async () => {
    relay = await FakeRelay.start({ login: (connection) => connection.stream.finish(1000) });
    const { out, code } = await probe(relay.url, '--stun-port', '-1');
    assert.equal(code, 1);
    assert.match(step(out, 'TLS'), /– .* an http:\/\/ relay has none/);
    assert.match(
      step(out, 'Login  '),
      /✗ .* the relay does not admit this key\n +→ The relay admits only keys that it knows/,
    );
    assert.match(step(out, 'Packets'), /– .* not logged in/);
  });

  it('with --websocket, one that speaks none', async () => {
    relay = await FakeRelay.start();
    const { out, code } = await probe(relay.url, '--stun-port', '-1', '--websocket');
    assert.equal(code, 1);
    assert.match(step(out, 'Login by WebSocket'), /✗ .* did not accept the WebSocket key/);
  });

  it('one that loses, and one that alters packets', async () => {
    let packets = 0;
    relay = await FakeRelay.start({
      frame(connection, type, frame) {
        if (type === FrameType.Ping) connection.write(encodeFrame(FrameType.Pong, frame.subarray(5)));
        if (type === FrameType.SendPacket) packets++;
      },
    });
    const lost = await probe(relay.url, '--stun-port', '-1', '--timeout', '1');
    assert.equal(lost.code, 1);
    assert.equal(packets, 3, 'it stops after three in a row');
    assert.match(step(lost.out, 'Packets'), /✗ .* 3 of 3 packets lost, 0 altered; [^]*→ Look at the drop counters/);
    await relay.stop();
    relay = await FakeRelay.start();
    const { script } = relay;
    relay.script = {
      ...script,
      frame(connection, type, frame) {
        if (type === FrameType.SendPacket) frame[frame.length - 1] = frame.at(-1)! + 1;
        script.frame?.(connection, type, frame);
      },
    };
    const altered = await probe(relay.url, '--stun-port', '-1', '--packets', '4');
    assert.equal(altered.code, 1);
    assert.match(step(altered.out, 'Packets'), /✗ .* 0 of 4 packets lost, 4 altered/);
  });

  it('two relays behind one address', async () => {
    relay = await FakeRelay.start();
    const { publicKey } = relay.keys;
    let connections = 0;
    const fake = relay;
    const { script } = fake;
    fake.script = {
      ...script,
      upgrade(connection) {
        if (++connections === 2) Object.assign(fake, { keys: other.keys });
        script.upgrade(connection);
      },
    };
    const other = await FakeRelay.start();
    const { out, code } = await probe(fake.url, '--stun-port', '-1', '--packets', '2');
    await other.stop();
    assert.notDeepEqual(publicKey, fake.keys.publicKey);
    assert.equal(code, 0, out);
    assert.match(step(out, 'Login  '), /! .* 2 different relays answer behind this address/);
  });
});

describe('usage of towpath probe', () => {
  const wrong: [string, string[]][] = [
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
