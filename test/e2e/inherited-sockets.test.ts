import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { describeSockets, takeInheritedSockets } from '../../src/service/inherited-sockets.ts';
import { encodeBindingRequest, parseBindingResponse } from '../../src/wire/stun.ts';
import { BUN, needsBun } from '../bun/installed.ts';
import { within } from '../service/support.ts';
import { datagramFd } from './datagram-fd.ts';
import { handleFd, portOf, tcpServer } from './held-sockets.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
/** Longest wait for a start, in milliseconds: the machine runs other tests at the same time. */
const START_MS = 60_000;
const OWN = { pid: 7, ppid: 6 };

describe('LISTEN_FDS', () => {
  const env = (fields: Record<string, string>): Record<string, string | undefined> => ({ LISTEN_PID: '7', ...fields });

  it('gives each socket its role by its name, and leaves nothing for children', () => {
    const variables = env({ LISTEN_FDS: '5', LISTEN_FDNAMES: 'derp:stun:http:derp:admin' });
    assert.deepEqual(takeInheritedSockets(variables, OWN), { derp: [3, 6], http: [5], stun: [4], admin: [7] });
    assert.deepEqual(Object.keys(variables), []);
  });

  it('may come from the relay that this one replaces, in another order', () => {
    const { fds, variables } = describeSockets({ derp: [3, 6], http: [5], stun: [4], admin: [] });
    assert.deepEqual(fds, [3, 6, 5, 4]);
    const env = { ...variables, LISTEN_PREVIOUS_PID: '6' };
    assert.deepEqual(takeInheritedSockets({ ...env }, OWN), { derp: [3, 4], http: [5], stun: [6], admin: [] });
    assert.deepEqual(takeInheritedSockets(env, { pid: 7, ppid: 1 }), { derp: [], http: [], stun: [], admin: [] });
    assert.deepEqual(Object.keys(env), []);
  });

  it('is not for us when it names another process, or is not there', () => {
    const none = { derp: [], http: [], stun: [], admin: [] };
    assert.deepEqual(takeInheritedSockets(env({ LISTEN_FDS: '1', LISTEN_FDNAMES: 'derp' }), { pid: 8, ppid: 1 }), none);
    assert.deepEqual(takeInheritedSockets({}, OWN), none);
  });

  it('refuses sockets whose role is unknown, with the words that help', () => {
    for (const names of ['towpath.socket', '', 'derp']) {
      const variables = env({ LISTEN_FDS: '2', LISTEN_FDNAMES: names });
      assert.throws(() => takeInheritedSockets(variables, OWN), {
        code: 'TOWPATH_LISTEN_NAMES',
        hint: /FileDescriptorName=/,
      });
    }
    assert.throws(() => takeInheritedSockets(env({ LISTEN_FDS: 'x' }), OWN), /not a number of sockets/);
    assert.throws(() => takeInheritedSockets(env({ LISTEN_FDS: '65' }), OWN), /not a number of sockets/);
  });
});

// Only Node gives access to the descriptors of its sockets. The relay that gets them runs on both runtimes.
const skip = 'bun' in process.versions ? 'needs Node to open the sockets' : false;
const RUNTIMES = { Node: process.execPath, Bun: BUN };

for (const [name, program] of Object.entries(RUNTIMES)) {
  describe(`a relay on ${name} with sockets from systemd`, { skip: program === null ? needsBun.skip : skip }, () => {
    if (program !== null) relayWithSockets(program);
  });
}

function relayWithSockets(program: string): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-sockets-'));
  const ports = { derp: 0, http: 0, stun: 0 };
  let child: ChildProcess;
  let ended: Promise<unknown>;
  let output = '';
  let nextPid = 0;
  const config = path.join(folder, 'towpath.yaml');
  const prints = (what: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = what.exec(output);
        if (found !== null) resolve(found);
      };
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', look);
      look();
    });

  before(async () => {
    const [derp, http] = [await tcpServer(), await tcpServer()];
    const stun = createSocket('udp4').bind(0, '127.0.0.1');
    await once(stun, 'listening');
    Object.assign(ports, { derp: portOf(derp), http: portOf(http), stun: stun.address().port });
    // LISTEN_PID is known only when the process runs, so a shell sets it and then becomes the relay.
    const command = 'LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=derp:http:stun exec "$@"';
    const off = ['--http', 'off', '--stun', 'off', '--admin', 'off'];
    const own = ['--listen', '127.0.0.1:1', '--hostname', '127.0.0.1', '--key-file', path.join(folder, 'derper.key')];
    writeFileSync(config, 'log: { level: info }\n');
    const args = ['serve', '--config', config, ...own, ...off, '--certificate-directory', folder];
    child = spawn('sh', ['-c', command, 'sh', program, MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', handleFd(derp), handleFd(http), datagramFd(stun)],
    });
    ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    // This process has the same sockets and must not accept connections.
    derp.close();
    http.close();
    stun.close();
  });

  after(async () => {
    child.kill('SIGKILL');
    if (nextPid !== 0) process.kill(nextPid, 'SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });

  it('listens on them instead of on the configured addresses, and its self-test goes through them', async () => {
    const ready = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (output.includes('"msg":"ready"')) resolve();
        if (output.includes('"msg":"not ready"')) reject(new Error(output));
      };
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', look);
      child.once('close', () => reject(new Error(output)));
      look();
    });
    await within(ready, 'the relay is ready', START_MS);
    for (const [role, port] of Object.entries(ports)) {
      assert.ok(output.includes(`"${role}":[{"ip":"127.0.0.1","port":${port}}]`), `${role} ${port} in ${output}`);
    }
  });

  it('answers STUN on the socket that it was given', async () => {
    const client = createSocket('udp4');
    const transaction = Buffer.alloc(12, 7);
    const answer = once(client, 'message') as Promise<[Buffer]>;
    client.send(encodeBindingRequest(transaction), ports.stun, '127.0.0.1');
    // An open socket would keep this process alive for ever.
    const [message] = await within(answer, 'STUN', START_MS).finally(() => client.close());
    assert.ok(parseBindingResponse(message, 0, message.length)?.transactionId.equals(transaction));
  });

  it('serves on when the next process cannot start, and says why', async () => {
    writeFileSync(config, 'nonsense: 1\n');
    child.kill('SIGUSR2');
    await within(prints(/nonsense: unknown key/), 'the next process says what is wrong', START_MS);
    await within(prints(/it ended with exit code 2\."[^\n]*"this process continues"/), 'the relay continues', START_MS);
    assert.equal(child.exitCode, null);
  });

  it('is replaced by the next process on SIGUSR2, with the same sockets and with no moment in which nobody accepts', async () => {
    writeFileSync(config, 'log: { level: info }\n');
    const exit = once(child, 'exit');
    const refused: unknown[] = [];
    let connected = 0;
    let isOver = false;
    const connecting = (async () => {
      while (!isOver) {
        const client = connect(ports.derp, '127.0.0.1');
        await once(client, 'connect').then(
          () => connected++,
          (error: unknown) => refused.push(error),
        );
        client.on('error', () => undefined).destroy();
      }
    })();
    try {
      child.kill('SIGUSR2');
      const [, pid = '0'] = await within(
        prints(/"pid":(\d+),"msg":"this process accepts/),
        'the next accepts',
        START_MS,
      );
      nextPid = Number(pid);
      assert.deepEqual(await within(exit, 'the end of the previous process', START_MS), [0, null]);
      await within(prints(/the previous one ends"[^]*"msg":"ready"/), 'the next is ready', START_MS);
    } finally {
      isOver = true;
      await connecting;
    }
    assert.deepEqual(refused, []);
    assert.ok(connected > 0);
  });
}
