import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { formatPin } from '../../src/wire/pin.ts';
import { TestRelay } from '../service/support.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'towpath-load-'));
let relay: TestRelay;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, 'load', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, out, err })) };
}

function load(...args: string[]): Promise<Ended> {
  return start(...args).ended;
}

/** Makes a short run against the relay of this process. */
function shortly(scenario: string, ...more: string[]): string[] {
  return [scenario, url(), '--pin', pin(), '--duration', '1', '--warm-up', '0', ...more];
}

function url(): string {
  return `https://127.0.0.1:${relay.port}/derp`;
}

function pin(): string {
  return formatPin(relay.relay.certificate.info().pinSha256);
}

suite('towpath load', () => {
  before(async () => {
    relay = await TestRelay.start();
  });
  after(async () => {
    await relay.stop();
    rmSync(folder, { recursive: true });
  });

  test('prints a table, is silent otherwise, and ends with 0 when no condition is true', async () => {
    const pid = String(process.pid);
    const { code, out, err } = await load(
      ...shortly('latency', '--pairs', '2', '--rate', '50', '--server-pid', pid, '--fail-if', 'loss>0', 'corrupted>0'),
    );
    assert.equal(err, '');
    assert.equal(code, 0, out);
    assert.match(out, /^latency {2}https:\/\/127\.0\.0\.1:\d+\/derp, \d+\.\d s measured\n/);
    assert.match(out, /^lost +0$/m);
    assert.match(out, /^latency p99 +[\d.]+ ms$/m);
    assert.match(out, /^relay process +\d+ % of a CPU, RSS [\d.]+ MiB/m);
    assert.match(out, /^✓ loss>0: loss is 0 %\n✓ corrupted>0: corrupted is 0\n$/m);
  });

  test('ends with 3 when a condition is true, and says which', async () => {
    const args = shortly(
      'throughput',
      '--pairs',
      '1',
      '--rate',
      '80kbit/s',
      '--fail-if',
      'delivered<1k',
      '--fail-if=lost>0',
    );
    const { code, out } = await load(...args);
    assert.equal(code, 3);
    assert.match(out, /^✗ delivered<1k: delivered is [\d.]+\/s\n✓ lost>0: lost is 0\n$/m);
  });

  test('--json prints one object with every metric, and nothing else', async () => {
    const { code, out } = await load(
      ...shortly('fairness', '--polite', '2', '--greedy', '2', '--polite-rate', '100', '--json', '--fail-if', 'jain<0'),
    );
    assert.equal(code, 0);
    const report = JSON.parse(out) as Record<string, unknown>;
    assert.deepEqual(
      [report['ok'], report['scenario'], report['interrupted'], report['measuredSeconds'] !== 0],
      [true, 'fairness', false, true],
    );
    assert.deepEqual(report['conditions'], [
      { condition: 'jain<0', value: (report['metrics'] as Record<string, unknown>)['jain'], failed: false },
    ]);
    const metrics = report['metrics'] as Record<string, number | null>;
    for (const name of [
      'loss',
      'corrupted',
      'p99',
      'polite-share',
      'jain',
      'greedy-delivered-bits',
      'generator-limited',
    ]) {
      assert.equal(typeof metrics[name], 'number', name);
    }
    assert.equal(metrics['server-cpu'], null);
    assert.deepEqual(
      (report['classes'] as { name: string; pairs: number }[]).map(({ name, pairs }) => [name, pairs]),
      [
        ['polite', 2],
        ['greedy', 2],
      ],
    );
    assert.equal((report['timeline'] as unknown[]).length, 2);
  });

  test('--report writes one page with plots and the result, which loads nothing', async () => {
    const file = path.join(folder, 'report.html');
    const { code } = await load(...shortly('connections', '--connections', '5', '--report', file));
    assert.equal(code, 0);
    const page = readFileSync(file, 'utf8');
    assert.match(page, /<figure aria-label="CPU, 100 % being one core"/);
    assert.doesNotMatch(page, /<(?:img|link|iframe)|<script src|url\(|@import|fetch\(|XMLHttp/);
    const json = /<script type="application\/json" id="result">([\s\S]*?)<\/script>/.exec(page)?.[1] ?? '';
    const { connections } = JSON.parse(json) as { connections: { opened: number } };
    assert.equal(connections.opened, 5);
  });

  test('takes a DERP map, and one relay of it', async () => {
    const map = path.join(folder, 'map.json');
    const node = (name: string): object => ({
      ...{ Name: name, RegionID: 1, HostName: '127.0.0.1', IPv4: '127.0.0.1', DERPPort: relay.port, CertName: pin() },
    });
    const region = { RegionID: 1, RegionCode: 'one', RegionName: 'One', Nodes: [node('1a'), node('1b')] };
    writeFileSync(map, JSON.stringify({ Regions: { 1: region } }));
    const several = await load('latency', map);
    assert.equal(several.code, 2);
    assert.match(several.err, /has several relays: 1a, 1b\n {2}Select one with --region or --node\./);
    const one = await load('latency', map, '--node', '1b', '--duration', '1', '--warm-up', '0', '--pairs', '1');
    assert.equal(one.code, 0, one.err);
    assert.match(one.out, /^lost +0$/m);
  });

  test('on Ctrl-C it prints what it has and ends with 130', async () => {
    const { child, ended } = start('latency', url(), '--pin', pin(), '--duration', '600');
    const { counters } = relay.relay;
    const before = counters.packetsSent;
    await relay.until(() => counters.packetsSent > before, 'traffic');
    child.kill('SIGINT');
    const { code, out } = await ended;
    assert.equal(code, 130);
    assert.match(out, /measured, interrupted\n/);
    assert.match(out, /^! It was interrupted/m);
  });

  test('refuses a relay that is not on this machine, unless it is said to be ours', async () => {
    // An address for documentation (RFC 5737): no machine answers there.
    const foreign = 'https://192.0.2.1/derp';
    const { code, out, err } = await load('latency', foreign);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^towpath: 192\.0\.2\.1 is not this machine.*\n {2}.*--i-own-this-server/);
    const { code: allowed, err: reason } = await load('latency', foreign, '--i-own-this-server', '--timeout', '1');
    assert.equal(allowed, 1);
    assert.doesNotMatch(reason, /not this machine/);
  });

  test('wrong usage ends with 2 before anything is sent', async () => {
    for (const [pattern, ...args] of [
      [/not measured by latency/, 'latency', url(), '--fail-if', 'jain<1'],
      [/has no unit/, 'latency', url(), '--fail-if', 'p99>5'],
      [/whole number from 28 to 65536/, 'latency', url(), '--size', '27'],
      [/packets per second/, 'latency', url(), '--rate', 'fast'],
      [/whole number from 1 to 3600/, 'throughput', url(), '--duration', '3601'],
      [/--server-pid 4194304: /, 'latency', url(), '--server-pid', '4194304'],
      [/Allowed choices are idle, ramp, churn/, 'connections', url(), '--pattern', 'often'],
      [/unknown command/, 'quickly', url()],
    ] as const) {
      const { code, out, err } = await load(...args);
      assert.deepEqual([code, out], [2, ''], err);
      assert.match(err, pattern);
    }
  });

  test('what could not run ends with 1', async () => {
    const { code, out, err } = await load('latency', url(), '--duration', '1');
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /^towpath: .*certificate/);
    const report = await load(...shortly('latency', '--report', path.join(folder, 'no', 'such.html')));
    assert.equal(report.code, 1);
    assert.match(report.err, /--report: .* cannot be written/);
  });
});
