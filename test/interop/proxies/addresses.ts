/**
 * Tests the client's address in the relay's log behind a proxy: two clients of towpath with their
 * own address send packets through each proxy, by upgrade and by WebSocket. Prints a line for each check.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectDerp } from '../../../src/client/connect.ts';
import type { DerpClient } from '../../../src/client/derp-client.ts';
import { Clock } from '../../../src/base/clock.ts';
import { transport } from '../../../src/transport/runtime.ts';
import { makeCertificate } from '../../transport/certificates.ts';
import { freePort } from '../../free-port.ts';
import { PROXIES, type ProxyName } from './proxies.ts';

const CLIENT_IP = '127.9.9.9';
const PATIENCE_MS = 20_000;
const clock = new Clock();
clock.start();
let failures = 0;

function report(name: string, problem: string | null): void {
  if (problem !== null) failures++;
  console.log(problem === null ? `ok   ${name}` : `FAIL ${name}: ${problem}`);
}

/** Forwards connections from {@link CLIENT_IP}, because a client cannot choose its own address. */
async function fromClientIp(port: number): Promise<Server> {
  const server = createServer((inner) => {
    const outer = connect({ host: '127.0.0.1', port, localAddress: CLIENT_IP });
    for (const socket of [inner, outer]) socket.on('error', () => undefined);
    inner.pipe(outer).pipe(inner);
    inner.on('close', () => outer.destroy());
    outer.on('close', () => inner.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function exchange(a: DerpClient, b: DerpClient): Promise<void> {
  const payload = Buffer.alloc(30_000, 'through a proxy ');
  const arrived = new Promise<void>((resolve) => {
    b.handler = {
      packet: (source, buffer, from, to) => {
        if (source.equals(a.publicKey) && buffer.subarray(from, to).equals(payload)) resolve();
      },
    };
  });
  a.send(b.publicKey, payload);
  await Promise.race([arrived, later('a packet')]);
}

function later(what: string): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(`not in time: ${what}`)), PATIENCE_MS).unref();
  });
}

interface Behind {
  readonly child: ChildProcess;
  readonly front: Server;
  readonly url: string;
  log: string;
}

async function start(proxy: ProxyName, folder: string): Promise<Behind> {
  const port = await freePort();
  const { certPem, keyPem } = makeCertificate(['127.0.0.1']);
  const [certificateFile, keyFile] = [path.join(folder, 'relay.crt'), path.join(folder, 'relay.key')];
  writeFileSync(certificateFile, certPem);
  writeFileSync(keyFile, keyPem, { mode: 0o600 });
  const child = spawn(
    process.execPath,
    [
      ...[path.join(import.meta.dirname, 'behind.ts'), proxy, 'serve', '--listen', `127.0.0.1:${port}`],
      ...['--http', 'off', '--stun', 'off', '--admin', 'off', '--hostname', '127.0.0.1', '--log-level', 'debug'],
      ...['--key-file', path.join(folder, 'derper.key'), '--no-self-test'],
      ...['--certificate-file', certificateFile, '--certificate-key-file', keyFile],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const front = await fromClientIp(port);
  const address = front.address();
  const where = typeof address === 'object' && address !== null ? address.port : 0;
  const behind: Behind = { child, front, url: `https://127.0.0.1:${where}/derp`, log: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (behind.log += text));
  }
  return behind;
}

/** Connects a client; repeats this while relay and proxy start. */
async function client(url: string, websocket: boolean): Promise<DerpClient> {
  const startedAt = performance.now();
  for (;;) {
    try {
      return await connectDerp({ transport, clock, url, websocket, verify: { kind: 'none' }, timeoutMs: 5000 });
    } catch (error) {
      if (performance.now() - startedAt > PATIENCE_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function check(proxy: ProxyName): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'towpath-proxied-'));
  const behind = await start(proxy, folder);
  try {
    for (const websocket of [false, true]) {
      const way = websocket ? 'WebSocket' : 'upgrade';
      const [a, b] = [await client(behind.url, websocket), await client(behind.url, websocket)];
      await exchange(a, b);
      await exchange(b, a);
      report(`${proxy}, ${way}: packets both ways`, null);
      a.close();
      b.close();
    }
    behind.child.kill('SIGTERM');
    await once(behind.child, 'close');
    const seen = [...behind.log.matchAll(/from"?[=:] ?"?(\[[^\]]*\]|[\d.]+):\d+/g)].map((match) => match[1]!);
    const wrong = seen.filter((ip) => ip !== CLIENT_IP);
    report(
      `${proxy}: the log names the client`,
      seen.length >= 4 && wrong.length === 0 ? null : `found ${seen.join(' ')}`,
    );
  } catch (error) {
    report(proxy, `${String(error)}\n${behind.log}`);
  } finally {
    behind.child.kill('SIGTERM');
    behind.front.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
for (const proxy of PROXIES) if (wanted.length === 0 || wanted.includes(proxy)) await check(proxy);
clock.stop();
process.exitCode = failures === 0 ? 0 : 1;
