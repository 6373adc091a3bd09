import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FakeRelay } from '../client/fake-relay.ts';
import { directory } from '../tools/probe/probe-support.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
/** Sets the title, clears the screen, reverses the text and fakes a line, with C0, C1 and bidirectional characters. */
const HOSTILE = '\u001b]0;TITLE\u0007\u001b[2J\u009b31m\u202e\u2028\u200b\nFAKE LINE: All good';

/** Runs towpath; returns both output streams as one text. */
async function towpath(...argv: string[]): Promise<{ shown: string; out: string; code: number | null }> {
  const child = spawn(process.execPath, [MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [shown, out] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (shown += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  assert.doesNotMatch(shown, /[^\P{C}\n]|[\p{Zl}\p{Zp}]/u, argv.join(' '));
  assert.doesNotMatch(shown, /^FAKE LINE/m, argv.join(' '));
  assert.doesNotMatch(shown, /unexpected error/, argv.join(' '));
  return { shown, out, code };
}

function write(name: string, content: string): string {
  const file = join(directory, name);
  writeFileSync(file, content);
  return file;
}

describe('what a hostile peer or file says reaches no terminal as it is', () => {
  it('the reason phrase of a relay, in probe and in load', async () => {
    const reason = HOSTILE.replaceAll('\n', ' ');
    const relay = await FakeRelay.start({
      upgrade: (connection) => {
        connection.write(Buffer.from(`HTTP/1.1 500 ${reason}\r\nContent-Length: 0\r\n\r\n`));
      },
    });
    const probed = await towpath('probe', relay.url, '--stun-port', '-1');
    const json = await towpath('probe', relay.url, '--stun-port', '-1', '--json');
    const loaded = await towpath('load', 'latency', relay.url, '--duration', '1');
    await relay.stop();
    assert.match(probed.shown, /HTTP 500 \\u001b\]0;TITLE/);
    assert.equal((JSON.parse(json.out) as { ok: boolean }).ok, false);
    assert.match(loaded.shown, /HTTP 500 \\u001b\]0;TITLE/);
    assert.deepEqual([probed.code, json.code, loaded.code], [1, 1, 1]);
  });

  it('the names in a DERP map, in probe, load and doctor', async () => {
    const relay = await FakeRelay.start();
    await relay.stop();
    const node = { Name: HOSTILE, RegionID: 9, HostName: '127.0.0.1', DERPPort: relay.port, STUNPort: -1 };
    const other = { ...node, Name: `${HOSTILE}2` };
    const region = { RegionID: 9, RegionCode: HOSTILE, Nodes: [node, other] };
    const map = write('hostile-map.json', JSON.stringify({ Regions: { 9: region } }));
    const probed = await towpath('probe', map);
    assert.match(probed.shown, /^\\u001b\]0;TITLE\\u0007.*\\u000aFAKE LINE: All good {2}https/m);
    const json = await towpath('probe', map, '--json');
    assert.equal((JSON.parse(json.out) as { relays: { name: string }[] }).relays[0]!.name, HOSTILE);
    const loaded = await towpath('load', 'latency', map);
    assert.match(loaded.shown, /has several relays: \\u001b/);
    const config = write('doctor.yaml', 'listen: 127.0.0.1:1\nhttp: off\nstun: off\nadmin: off\nregion: { id: 9 }\n');
    await towpath('doctor', '--config', config, '--derp-map', map, '--key-file', join(directory, 'no.key'));
    const wrong = write('hostile-wrong.json', JSON.stringify({ Regions: { [HOSTILE]: { RegionID: 1 } } }));
    assert.equal((await towpath('probe', wrong)).code, 1);
    const broken = write('hostile-broken.yaml', `a: [${HOSTILE}`);
    assert.equal((await towpath('probe', broken)).code, 2);
  });

  it('keys and values of a configuration', async () => {
    const quoted = JSON.stringify(HOSTILE);
    const wrong = write('hostile-config.yaml', `${quoted}: 1\nhostname: ${quoted}\nlog: { level: ${quoted} }\n`);
    const checked = await towpath('config', 'check', wrong);
    assert.equal(checked.code, 2);
    assert.match(checked.shown, /hostile-config\.yaml:1: .*unknown key/);
    const broken = write('hostile-config-broken.yaml', `a: b: ${HOSTILE}\n  - x`);
    assert.equal((await towpath('config', 'check', broken)).code, 2);
    const named = write('hostile-config-named.yaml', `region: { name: ${quoted} }\nhostname: 127.0.0.1\n`);
    await towpath('config', 'print', '--config', named);
    assert.equal((await towpath('migrate', 'derper', '--', '-hostname', HOSTILE)).code, 2);
    await towpath('migrate', 'derper', '--', '-hostname', 'a.example.com', '-acme-email', HOSTILE, '-c', HOSTILE);
  });
});
