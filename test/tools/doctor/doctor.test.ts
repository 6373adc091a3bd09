import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createKeyFile } from '../../../src/service/key-file.ts';
import { formatPin } from '../../../src/wire/pin.ts';
import { certificateFor, FakeRelay } from '../../client/fake-relay.ts';
import { step } from '../probe/probe-support.ts';
import { TestRelay } from '../../service/support.ts';
import { DoctorFixture, diagnose, doctor, found } from './doctor-support.ts';
import { writeStunResponse } from '../../wire/stun-response.ts';

const MAIN = new URL('../../../src/main.ts', import.meta.url).pathname;
const NODE_KEY = `nodekey:${'5a'.repeat(32)}`;

describe('towpath doctor', () => {
  let fixture: DoctorFixture;
  beforeEach(() => (fixture = new DoctorFixture()));
  afterEach(() => fixture.close());

  /** Returns the map entry of the running relay, with changes. */
  function writeMap(relay: TestRelay, changes: Record<string, unknown> = {}): string {
    const node = {
      Name: '900a',
      RegionID: 900,
      HostName: '127.0.0.1',
      IPv4: '127.0.0.1',
      CertName: formatPin(relay.relay.certificate.info().pinSha256),
      DERPPort: relay.port,
      STUNPort: relay.relay.addresses.stun[0]!.port,
      ...changes,
    };
    const region = { RegionID: 900, RegionCode: 'towpath', RegionName: 'towpath', Nodes: [node] };
    writeFileSync(fixture.mapFile, JSON.stringify({ Regions: { 900: region } }));
    return fixture.mapFile;
  }

  it('finds nothing to fix at a relay that works', async () => {
    const relay = await fixture.start();
    const { failed, sections, code } = await fixture.examine({}, '--derp-map', writeMap(relay));
    assert.deepEqual([failed, code], [[], 0]);
    const steps = sections.flatMap(({ checks }) => checks).map((check) => `${check.status} ${check.step}`);
    for (const name of [
      'derp-port',
      'http-port',
      'stun-port',
      'ready',
      'derp-map',
      'packets',
      'served-key',
      'file-limit',
    ])
      assert.ok(steps.includes(`ok ${name}`), `${name} in ${steps.join(', ')}`);
  });

  it('1: a wrong key in the configuration', async () => {
    const { failed, sections } = await fixture.examine({ hostnam: 'relay.example.com' });
    assert.equal(failed.length, 1);
    assert.equal(failed[0]!.step, 'config');
    assert.match(failed[0]!.text, /towpath\.yaml:\d+: hostnam: unknown key; did you mean hostname\?/);
    assert.equal(sections.length, 2, 'nothing that needs the configuration is looked at');
  });

  it('2: the port is taken by another program', async () => {
    createKeyFile(fixture.keyFile);
    const port = await fixture.strangerTcp('HTTP/1.1 400 Bad Request\r\n\r\n');
    const plain = found(await fixture.examine({ listen: `127.0.0.1:${port}` }), 'derp-port')[0]!;
    assert.equal(plain.status, 'failed');
    assert.match(plain.text, new RegExp(`127\\.0\\.0\\.1:${port} is used by another program`));
    if (process.platform === 'linux') assert.match(plain.text, new RegExp(`process ${process.pid}`));
    const web = await FakeRelay.start(
      { upgrade: (connection) => connection.write('HTTP/1.1 404 Not Found\r\n\r\n') },
      certificateFor(30),
    );
    const secure = found(await fixture.examine({ listen: `127.0.0.1:${web.port}` }), 'derp-port')[0]!;
    await web.stop();
    assert.match(secure.text, /is used by another program.*: it does not speak DERP/);
  });

  it('3: the relay is not running', async () => {
    const relay = await fixture.start();
    const file = fixture.configure();
    fixture.relay = null;
    await relay.stop();
    const { failed } = await diagnose('--config', file, '--timeout', '1');
    assert.deepEqual(
      failed.map(({ step: name }) => name),
      ['derp-port'],
      'one fault, not one for each port',
    );
    assert.match(failed[0]!.text, /nothing listens on .*: the relay is not running/);
    assert.match(failed[0]!.fix!, /Start it/);
  });

  it('4: a DERP map with another pin, or none', async () => {
    const relay = await fixture.start();
    const wrong = await fixture.examine({}, '--derp-map', writeMap(relay, { CertName: formatPin('ab'.repeat(32)) }));
    const pin = formatPin(relay.relay.certificate.info().pinSha256);
    assert.match(
      found(wrong, 'derp-map')[0]!.text,
      /the pin in CertName .*ab.* is not the pin of the certificate in use/,
    );
    assert.match(found(wrong, 'derp-map')[0]!.fix!, new RegExp(`Set CertName to "${pin}" in the map`));
    assert.equal(found(wrong, 'tls')[0]!.status, 'failed');
    const none = await fixture.examine({}, '--derp-map', writeMap(relay, { CertName: '' }));
    assert.match(found(none, 'derp-map')[0]!.text, /CertName has no pin, but the certificate is self-signed/);
    const upper = await fixture.examine(
      {},
      '--derp-map',
      writeMap(relay, { CertName: `sha256-raw:${pin.slice(11).toUpperCase()}` }),
    );
    assert.match(found(upper, 'derp-map')[0]!.text, /must be in lower case/);
  });

  it('5: a certificate that has expired', async () => {
    const { certPem, keyPem } = certificateFor(-3);
    const [file, keyFile] = [join(fixture.folder, 'c.pem'), join(fixture.folder, 'k.pem')];
    writeFileSync(file, certPem);
    writeFileSync(keyFile, keyPem);
    await fixture.start({ TOWPATH_CERTIFICATE_FILE: file, TOWPATH_CERTIFICATE_KEY_FILE: keyFile });
    const diagnosis = await fixture.examine({ certificate: { file, keyFile } });
    const [certificate] = found(diagnosis, 'certificate');
    assert.equal(certificate!.status, 'failed');
    assert.match(certificate!.text, /c\.pem has expired on \d{4}-/);
    assert.match(certificate!.fix!, /Renew it/);
    assert.match(found(diagnosis, 'tls')[0]!.fix!, /it has expired/);
    const renewed = certificateFor(30);
    writeFileSync(file, renewed.certPem);
    writeFileSync(keyFile, renewed.keyPem);
    const stale = await fixture.examine({ certificate: { file, keyFile } });
    assert.match(
      found(stale, 'served-certificate').at(-1)!.text,
      /serves another certificate .* than the one on the disk/,
    );
  });

  it('6: a hostname that does not resolve', async () => {
    await fixture.start();
    const { failed, ...diagnosis } = await fixture.examine({ hostname: 'relay.invalid' });
    assert.match(found({ failed, ...diagnosis }, 'names')[0]!.text, /relay\.invalid does not resolve/);
    assert.ok(
      failed.every(({ text }) => text.includes('relay.invalid')),
      JSON.stringify(failed),
    );
  });

  it('7: a hostname that points elsewhere', async () => {
    await fixture.start();
    const diagnosis = await fixture.examine({ hostname: 'localhost', publicIp: ['203.0.113.7'] });
    const [name] = found(diagnosis, 'names');
    assert.equal(name!.status, 'failed');
    assert.match(name!.text, /localhost is .*127\.0\.0\.1.*, but publicIp is 203\.0\.113\.7/);
    const other = await TestRelay.start();
    const outside = await fixture.examine({}, '--outside', `https://127.0.0.1:${other.port}/derp`);
    await other.stop();
    assert.match(found(outside, 'served-key')[0]!.text, /another relay \(nodekey:.*\) answers there/);
  });

  it('8: a key file that is unreadable, broken, or not that of the running relay', async () => {
    await fixture.start();
    const [other, broken] = [join(fixture.folder, 'other.key'), join(fixture.folder, 'broken.key')];
    createKeyFile(other);
    const wrong = found(await fixture.examine({ keyFile: other }), 'derp-port')[0]!;
    assert.match(wrong.text, /is a relay with another key.*: nodekey:.* instead of nodekey:/);
    writeFileSync(broken, '{}');
    const bad = await fixture.examine({ keyFile: broken });
    assert.match(found(bad, 'key-file')[0]!.text, /it has no "PrivateKey"/);
    assert.equal(found(bad, 'derp-port')[0]!.status, 'ok');
    const missing = found(await fixture.examine({ keyFile: join(fixture.folder, 'none.key') }), 'key-file')[0]!;
    assert.match(missing.text, /no such file/);
    chmodSync(fixture.keyFile, 0o644);
    assert.match(found(await fixture.examine(), 'key-file')[0]!.fix!, /chmod 600/);
  });

  it('9: STUN that is off, held by another program, or blocked', async () => {
    const relay = await fixture.start({ TOWPATH_STUN: 'off' });
    const off = await fixture.examine({}, '--derp-map', writeMapWithoutStun(relay, 3478));
    assert.match(found(off, 'stun-port')[0]!.text, /off: clients cannot measure/);
    assert.match(found(off, 'derp-map')[0]!.text, /clients use port 3478 for STUN, but STUN is off/);
    const port = await fixture.strangerUdp();
    const held = found(await fixture.examine({ stun: `127.0.0.1:${port}` }), 'stun-port')[0]!;
    assert.equal(held.status, 'failed');
    if (process.platform === 'linux') assert.match(held.text, /\(UDP\).*does not answer/);
  });

  it('9b: STUN behind a bridge that hides where datagrams come from', async () => {
    await fixture.start();
    const port = await fixture.strangerUdp((request) => {
      const answer = Buffer.alloc(64);
      return answer.subarray(0, writeStunResponse(answer, request, 0, '172.17.0.1', 4321));
    });
    const [seen] = found(await fixture.examine({ stun: `127.0.0.1:${port}` }), 'stun-port');
    assert.equal(seen!.status, 'warning');
    assert.match(seen!.text, /sees this machine as 172\.17\.0\.1:4321, a private address/);
    assert.match(seen!.fix!, /Docker/);
    const [elsewhere] = found(
      await fixture.examine({ publicIp: ['203.0.113.7'] }, '--stun-server', `127.0.0.1:${port}`),
      'public-address',
    );
    assert.match(elsewhere!.text, /the public address is 172\.17\.0\.1.*, but clients get .*203\.0\.113\.7/);
  });

  it('10: wrong ports in the map', async () => {
    const relay = await fixture.start();
    const diagnosis = await fixture.examine({}, '--derp-map', writeMap(relay, { DERPPort: 0, STUNPort: 1 }));
    const [derp, stun] = found(diagnosis, 'derp-map');
    assert.match(derp!.text, new RegExp(`clients connect to port 443, but the relay is on ${relay.port}`));
    assert.match(stun!.text, /clients use port 1 for STUN, but STUN listens on \d+/);
    const policy = readFileSync(fixture.mapFile, 'utf8');
    writeFileSync(fixture.mapFile, `{\n  // of the tailnet policy\n  "derpMap": ${policy},\n}\n`);
    assert.equal(found(await fixture.examine({}, '--derp-map', fixture.mapFile), 'derp-map').length, 2);
    const missing = await fixture.examine(
      {},
      '--derp-map',
      writeMap(relay, { Name: '900b', HostName: 'a.example', IPv4: '' }),
    );
    assert.match(found(missing, 'derp-map')[0]!.text, /HostName is a\.example/);
  });

  it('11: a file limit that is too low', { skip: process.platform !== 'linux' }, () => {
    const file = fixture.configure({ limits: { connections: 1000 } });
    const { stdout, status } = spawnSync(
      'sh',
      ['-c', 'ulimit -n 256; exec "$0" "$@"', process.execPath, MAIN, 'doctor', '--config', file, '--timeout', '1'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 1);
    assert.match(
      step(stdout, 'File limit'),
      /✗ .* may open 256 files only; 1000 connections need 1100\n +→ Raise it \(systemd: LimitNOFILE=1100/,
    );
  });

  it('12: an admission source that is down, and what the others say of a key', async () => {
    await fixture.start();
    const closed = await FakeRelay.start();
    await closed.stop();
    const allowFile = join(fixture.folder, 'allow');
    writeFileSync(allowFile, `${NODE_KEY} laptop\n`);
    const hook = { kind: 'webhook', url: `http://127.0.0.1:${closed.port}/verify` };
    const admission = { sources: [{ kind: 'keys', allowFile }, hook] };
    const known = await fixture.examine({ admission }, '--key', NODE_KEY);
    const [keys, webhook] = found(known, 'admission-source');
    assert.match(keys!.text, /keys \(keys\): 1 keys; .* is admitted/);
    assert.equal(webhook!.status, 'failed');
    assert.match(webhook!.text, /webhook \(webhook\): http.*: no connection/);
    assert.equal(found(known, 'admission-key')[0]!.status, 'ok');
    const stranger = await fixture.examine({ admission }, '--key', `nodekey:${'66'.repeat(32)}`);
    assert.match(found(stranger, 'admission-key')[0]!.text, /is refused by /);
  });

  it('takes it for right that a relay with admission refuses strangers', async () => {
    const allowFile = join(fixture.folder, 'allow');
    writeFileSync(allowFile, `${NODE_KEY}\n`);
    const sources = [{ kind: 'keys', allowFile }];
    await fixture.start({ TOWPATH_ADMISSION_SOURCES: JSON.stringify(sources) });
    const diagnosis = await fixture.examine({ admission: { sources } });
    assert.deepEqual(diagnosis.failed, []);
    assert.match(found(diagnosis, 'upgrade')[0]!.text, /admission refuses an unknown key/);
  });

  it('looks at a relay behind a proxy as that proxy does', async () => {
    for (const protocol of [false, true]) {
      const proxy = { protocol };
      const behind = new DoctorFixture();
      await behind.start({ TOWPATH_TRANSPORT: 'plain', TOWPATH_PROXY_PROTOCOL: String(proxy.protocol) });
      const changes = { transport: 'plain', proxy, derpPort: 1 };
      const diagnosis = await behind.examine(changes);
      await behind.close();
      assert.match(found(diagnosis, 'derp-port')[0]!.text, /is this relay/);
      assert.equal(found(diagnosis, 'http-port')[0]!.status, 'ok');
      assert.deepEqual(
        diagnosis.failed.map(({ text }) => text.slice(0, 33)),
        ['No TCP connection to 127.0.0.1:1:'],
        'there is no proxy',
      );
      assert.match(diagnosis.failed[0]!.fix!, /the proxy in front listens there/);
      assert.equal(found(diagnosis, 'proxy')[0]!.status, 'ok');
    }
  });

  it('says what the relay has against its proxy, and looks on where this machine may not connect', async () => {
    const proxy = { trusted: ['192.0.2.1/32'] };
    const before = await fixture.examine({ transport: 'plain', proxy });
    assert.match(found(before, 'derp-port')[0]!.text, /the relay is not running/);
    const relay = await fixture.start({ TOWPATH_TRANSPORT: 'plain', TOWPATH_PROXY_TRUSTED: '192.0.2.1/32' });
    await assert.rejects(relay.client({ url: `http://127.0.0.1:${relay.port}/derp` }));
    const diagnosis = await fixture.examine({ transport: 'plain', proxy, derpPort: 1 });
    assert.match(found(diagnosis, 'derp-port')[0]!.text, /accepts connections from proxy\.trusted only/);
    assert.match(found(diagnosis, 'proxy')[0]!.text, /1 connections from outside proxy\.trusted \(192\.0\.2\.1\/32\)/);
  });

  it('comes to an end when its time is over, with what it has found', async () => {
    const silent = await fixture.strangerTcp('');
    const source = { kind: 'webhook', url: `http://127.0.0.1:${await fixture.silentTcp()}/` };
    const changes = { listen: `127.0.0.1:${silent}`, admission: { sources: [source] } };
    const args = ['--config', fixture.configure(changes), '--timeout', '60', '--total-timeout', '1'];
    const diagnosis = await diagnose(...args);
    const [late] = found(diagnosis, 'total-time');
    assert.match(late!.text, /the time limit of 1 s for all checks was over during/);
    assert.equal(diagnosis.sections[0]!.title, 'Set-up');
  });

  it('prints for people, says nothing on a pipe but the report, and refuses wrong usage', async () => {
    await fixture.start();
    const file = fixture.configure();
    const { out, err, code } = await doctor('--config', file);
    assert.deepEqual([err, code], ['', 0], out);
    assert.match(out, /^Set-up\n {2}✓ Version +towpath/);
    assert.match(out, /\nGood, with 1 warning\n$/);
    for (const args of [
      ['--key', 'nodekey:1'],
      ['--outside', 'ftp://x'],
      ['--stun-server', 'a:b'],
      ['--timeout', '0'],
      ['--total-timeout', '4000'],
    ])
      await assert.rejects(doctor('--config', file, ...args), args.join(' '));
    const { status } = spawnSync(process.execPath, [MAIN, 'doctor', '--derp-map', join(fixture.folder, 'none')]);
    assert.equal(status, 2);
  });

  function writeMapWithoutStun(relay: TestRelay, stunPort: number): string {
    const pin = formatPin(relay.relay.certificate.info().pinSha256);
    const node = { Name: '900a', HostName: '127.0.0.1', CertName: pin, DERPPort: relay.port, STUNPort: stunPort };
    writeFileSync(fixture.mapFile, JSON.stringify({ Regions: { 900: { RegionID: 900, Nodes: [node] } } }));
    return fixture.mapFile;
  }
});
