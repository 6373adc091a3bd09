import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { formatPin, pinOf } from '../../../src/wire/pin.ts';
import { encodeFrame, FrameType } from '../../../src/wire/frames.ts';
import { certificateFor, FakeRelay } from '../../client/fake-relay.ts';
import { directory, probe, step } from './probe-support.ts';

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
    assert.match(step(out, 'TCP over IPv4'), /✗ [^]*→ No program listens there/);
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
      /! .* it is not for 127\.0\.0\.1[^]*→ Tailscale's clients do not check the name/,
    );
    assert.equal(wrong.code, 0, 'as the official client connects');
  });

  it('entries of a map, as the official client takes them', async () => {
    const { certPem, keyPem } = certificateFor(30, 'relay.example.test');
    relay = await FakeRelay.start({}, { certPem, keyPem });
    const two = await FakeRelay.start({}, { certPem: certPem + certificateFor(30, 'other.test').certPem, keyPem });
    const pin = formatPin(pinOf(new X509Certificate(certPem).raw));
    const basic = {
      HostName: 'relay.example.test',
      IPv4: '127.0.0.1',
      IPv6: 'none',
      DERPPort: relay.port,
      CertName: pin,
    };
    const run = async (change: object): Promise<{ out: string; code: number }> => {
      const node = { Name: 'n', RegionID: 1, STUNPort: -1, ...basic, ...change };
      const path = join(directory, 'entry.json');
      writeFileSync(path, JSON.stringify({ Regions: { 1: { RegionID: 1, Nodes: [node] } } }));
      return probe(path, '--packets', '1');
    };
    assert.equal((await run({})).code, 0);
    const unknown = await run({ IPv6: '', HostName: 'relay.example.test' });
    assert.equal(unknown.code, 0, unknown.out);
    assert.match(step(unknown.out, 'DNS'), /! [^]*→ Clients that cannot look it up use 127\.0\.0\.1/);
    assert.match(
      (await run({ IPv6: '::1' })).out,
      /! TCP over IPv6[^]*Until then, only clients with IPv4 reach the relay/,
    );
    const wrongName = await run({ HostName: 'else.example.test' });
    assert.match(
      step(wrongName.out, 'TLS'),
      /✗ [^]*→ Get a certificate for else\.example\.test; this one is for DNS:relay/,
    );
    const capitals = await run({ CertName: `sha256-raw:${pin.slice(11).toUpperCase()}` });
    assert.match(step(capitals.out, 'TLS'), /✗ [^]*→ Write the pin in lower case/);
    const chain = await run({ DERPPort: two.port });
    assert.match(
      step(chain.out, 'TLS'),
      /✗ [^]*→ A pin allows one certificate, and the relay serves 2: serve only the first/,
    );
    assert.match(
      step((await run({ IPv4: 'none' })).out, 'TCP over IPv4'),
      /✗ .* has neither an IPv4 nor an IPv6 address/,
    );
    assert.match((await run({ STUNOnly: true })).out, /✗ STUN over IPv4 .*the map has STUNOnly, but no STUN port/);
    await two.stop();
  });

  it('a relay that does not admit the key', async () => {
    relay = await FakeRelay.start({ login: (connection) => connection.stream.finish(1000) });
    const { out, code } = await probe(relay.url, '--stun-port', '-1');
    assert.equal(code, 1);
    assert.match(step(out, 'TLS'), /– .* an http:\/\/ URL has no TLS/);
    assert.match(
      step(out, 'Login  '),
      /✗ .* most likely it does not admit this key\n +→ A relay does not tell a client why it refuses a key/,
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
    assert.match(
      step(lost.out, 'Packets'),
      /✗ .* 3 of 3 packets lost, 0 altered; [^]*→ Check the relay's drop counters/,
    );
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
    assert.match(step(out, 'Login  '), /! .* 2 different relays answer at this address/);
  });
});
