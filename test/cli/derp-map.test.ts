import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { Command, CommanderError } from 'commander';
import { parse as parseYaml } from 'yaml';
import { openCertificateSource } from '../../src/certificates/open.ts';
import { registerDerpMap } from '../../src/cli/derp-map.ts';
import { Clock } from '../../src/base/clock.ts';
import { parseDerpMap, type DerpNode } from '../../src/derp-map/derp-map.ts';
import { formatPin } from '../../src/wire/pin.ts';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('towpath derp-map', () => {
  const root = mkdtempSync(join(tmpdir(), 'towpath-derp-map-'));
  let directory = '';
  let count = 0;
  beforeEach(() => (directory = join(root, String(count++))));
  after(() => rmSync(root, { recursive: true }));

  function run(...args: string[]): { out: string; err: string } {
    const said = { out: '', err: '' };
    const program = new Command().exitOverride().configureOutput({
      writeOut: (text) => (said.out += text),
      writeErr: (text) => (said.err += text),
    });
    registerDerpMap(program);
    program.parse(['derp-map', '--certificate-directory', directory, ...args], { from: 'user' });
    return said;
  }

  function nodeOf(text: string): DerpNode {
    return parseDerpMap(JSON.parse(text)).Regions['900']!.Nodes[0]!;
  }

  /** The pin that the server serves. */
  function servedPin(names: readonly string[]): string {
    const source = openCertificateSource(
      {
        mode: 'self-signed',
        directory,
        names,
        listenIps: ['::'],
        validityDays: 365,
        renewBeforeDays: 30,
        pollSeconds: 9,
      },
      { serverPublicKey: Buffer.alloc(32, 1), clock: new Clock(), log: silent },
    );
    const { pinSha256 } = source.info();
    source.stop();
    return formatPin(pinSha256);
  }

  it('makes the certificate on the first call, and the server then serves it', () => {
    const { out, err } = run('--format', 'json', '--hostname', 'relay.example.com');
    assert.match(err, /self-signed certificate made \(.*relay\.example\.com\.crt\)/);
    const node = nodeOf(out);
    assert.equal(node.HostName, 'relay.example.com');
    assert.equal(node.CertName, servedPin(['relay.example.com']));
    assert.equal(run('--format', 'json', '--hostname', 'relay.example.com').err, '');
  });

  it('puts nothing but the map on standard output, in each form', () => {
    const args = ['--hostname', '203.0.113.7', '--omit-default-regions', '--listen', '[::]:8443', '--stun-port', '-1'];
    const map = parseDerpMap(JSON.parse(run('--format', 'json', ...args).out));
    assert.deepEqual(parseDerpMap(parseYaml(run('--format', 'headscale', ...args).out)), map);
    const { derpMap } = JSON.parse(
      `{${run(...args)
        .out.trimEnd()
        .replace(/,$/, '')}}`,
    ) as { derpMap: unknown };
    assert.deepEqual(parseDerpMap(derpMap), map);
    assert.equal(map.omitDefaultRegions, true);
    const node = map.Regions['900']!.Nodes[0]!;
    const addresses = { HostName: '203.0.113.7', IPv4: '203.0.113.7', IPv6: 'none', CanPort80: true };
    const rest = { CertName: node.CertName, DERPPort: 8443, STUNPort: -1 };
    assert.deepEqual(node, { Name: '900a', RegionID: 900, ...addresses, ...rest });
  });

  it('says on standard error what to give when it does not know where the relay is', () => {
    const { err } = run('--format', 'json');
    assert.match(err, /set hostname or publicIp/);
  });

  it('has the pin of the running relay when the address is given here only', () => {
    const pin = servedPin([]);
    const files = readdirSync(directory);
    assert.equal(nodeOf(run('--format', 'json', '--hostname', '203.0.113.7').out).CertName, pin);
    assert.deepEqual(readdirSync(directory), files);
    const named = run('--format', 'json', '--hostname', 'relay.example.com');
    assert.match(named.err, /the certificate is for towpath and they will refuse it/);
  });

  it('takes addresses of the right family only', () => {
    const { out } = run('--format', 'json', '--hostname', 'a.example', '--ipv4', '203.0.113.7', '--ipv6', 'none');
    assert.deepEqual([nodeOf(out).IPv4, nodeOf(out).IPv6], ['203.0.113.7', 'none']);
    assert.throws(() => run('--ipv4', '2001:db8::7'), CommanderError);
    assert.throws(() => run('--stun-port', '0'), CommanderError);
    assert.throws(() => run('--format', 'xml'), CommanderError);
  });
});
