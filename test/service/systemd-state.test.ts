import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { pino } from 'pino';
import { Health } from '../../src/observe/health.ts';
import { openSystemdState, SystemdState } from '../../src/service/systemd-state.ts';
import { loadSystemCalls } from '../../src/system/runtime.ts';
import { UnixDatagrams } from '../../src/system/unix-datagrams.ts';
import { BUN } from '../bun/installed.ts';
import { FREE_PORTS, RelayProcess } from '../e2e/relay-process.ts';
import { NotifyListener } from './notify-listener.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'towpath-notify-'));
after(() => rmSync(folder, { recursive: true }));
const silent = pino({ enabled: false });
const calls = await loadSystemCalls();
const hasProgram = spawnSync('systemd-notify', ['--version']).status === 0;
const needsWay = calls.unavailable !== null && !hasProgram && 'neither system calls nor systemd-notify';

/** Records messages without a socket; the test sets whether the next one is accepted. */
function recorder() {
  const sent: string[] = [];
  const state = { takes: true };
  const send = (text: string): Promise<boolean> => {
    sent.push(text);
    return Promise.resolve(state.takes);
  };
  return { sent, state, notify: { send, close: () => void sent.push('closed') } };
}

describe('the state for systemd', () => {
  it('is ready, with the problems of the relay as status, and not any more once it stops', async () => {
    const { sent, notify } = recorder();
    const health = new Health();
    const systemd = new SystemdState({ notify, watchdogMs: null, health, log: silent });
    systemd.reloading();
    health.set('self-test', 'the relay is starting');
    health.set('self-test', null);
    systemd.ready();
    health.set('certificate', 'it has\nexpired');
    systemd.reloading();
    systemd.ready();
    systemd.stopping(4000);
    systemd.stopping(4000);
    systemd.ready();
    health.set('certificate', null);
    await systemd.close();
    assert.deepEqual(sent, [
      'READY=1\nSTATUS=Ready',
      'STATUS=Not ready: certificate: it has expired',
      'RELOADING=1\nSTATUS=Reading the configuration again',
      'READY=1\nSTATUS=Not ready: certificate: it has expired',
      'STOPPING=1\nEXTEND_TIMEOUT_USEC=4000000\nSTATUS=Draining: clients reconnect',
      'closed',
    ]);
  });

  it('is warned about once while nobody takes the messages', async () => {
    const { state, notify } = recorder();
    const lines: string[] = [];
    const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
    const systemd = new SystemdState({ notify, watchdogMs: null, health: new Health(), log });
    state.takes = false;
    systemd.ready();
    systemd.ready();
    await systemd.close();
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /READY=1.*did not take a message/);
  });

  it('is for nobody without NOTIFY_SOCKET, or with one of another kind; no child gets the variables', async () => {
    for (const socket of ['', 'vsock:2:1']) {
      const env: Record<string, string | undefined> = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1', WATCHDOG_PID: '1' };
      assert.equal(await openSystemdState(env, { health: new Health(), log: silent }), null);
      assert.deepEqual(Object.keys(env), []);
    }
  });
});

describe('messages to a socket', { skip: calls.unavailable ?? false }, () => {
  for (const name of [path.join(folder, 'file'), `@towpath-${process.pid}`]) {
    it(`reach ${name.startsWith('@') ? 'an abstract name' : 'a path'}`, async () => {
      const listener = await NotifyListener.open(name);
      const datagrams = new UnixDatagrams(calls, name);
      assert.equal(datagrams.send('READY=1\nSTATUS=ä'), true);
      await listener.message(/^READY=1\nSTATUS=/);
      datagrams.close();
      listener.close();
    });
  }

  it('are refused where nobody listens, and where the path is too long', () => {
    assert.throws(() => new UnixDatagrams(calls, path.join(folder, 'nobody')), { name: 'SystemCallError' });
    assert.throws(() => new UnixDatagrams(calls, `/${'x'.repeat(120)}`), RangeError);
  });
});

const RUNTIMES = { 'this runtime': process.execPath, ...(BUN === null ? {} : { Bun: BUN }) };
for (const [name, program] of Object.entries(RUNTIMES)) {
  describe(`a relay on ${name}, started by systemd`, { skip: program === BUN ? false : needsWay }, () => {
    it('is ready after its self-test, reloads, answers the watchdog and stops', async (t) => {
      const socket = path.join(folder, name.replaceAll(' ', '-'));
      const listener = await NotifyListener.open(socket);
      const config = path.join(folder, 'towpath.yaml');
      writeFileSync(config, 'drain: { seconds: 1 }\n');
      const env = { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000000' };
      const relay = new RelayProcess([...FREE_PORTS, '--config', config], undefined, program, undefined, { env });
      t.after(async () => {
        listener.close();
        await relay.clean();
      });
      assert.equal(await listener.message(/^READY=1/), 'READY=1\nSTATUS=Ready');
      await relay.says(/"msg":"ready"/);
      await listener.message(/^WATCHDOG=1$/);
      const before = listener.messages.length;
      relay.child.kill('SIGHUP');
      await listener.message(/^RELOADING=1/, before);
      await listener.message(/^READY=1/, before);
      assert.deepEqual(await relay.end('SIGTERM'), [0, null]);
      await listener.message(/^STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000\n/);
    });
  });
}
