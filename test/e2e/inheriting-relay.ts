import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import type { DerpClientOptions } from '../../src/client/options.ts';
import { transport } from '../../src/transport/runtime.ts';
import { within } from '../service/support.ts';
import { handleFd, portOf, tcpServer } from './held-sockets.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
/** Longest wait in milliseconds: the machine runs other tests at the same time. */
export const PATIENCE_MS = 40_000;
const MOST_CLIENTS = 200;
const THREADS = 2;

/** A relay process with a socket that this process has opened, and its clients. */
export class InheritingRelay {
  port = 0;
  child!: ChildProcess;
  /** The process that has replaced the child. */
  nextPid = 0;
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'towpath-inheriting-'));
  readonly #program: string;
  readonly #clock = new Clock();
  readonly #clients: DerpClient[] = [];
  #output = '';
  #ended: Promise<unknown> = Promise.resolve();

  constructor(program: string) {
    this.#program = program;
  }

  /** Starts it with these keys in its configuration file. Resolves when it accepts clients. */
  async start(keys: object = {}): Promise<void> {
    this.#clock.start();
    const config = path.join(this.folder, 'towpath.json');
    writeFileSync(config, JSON.stringify(keys));
    const server = await tcpServer();
    this.port = portOf(server);
    // LISTEN_PID is known only when the process runs, so a shell sets it and then becomes the relay.
    const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=derp exec "$@"';
    const flags = {
      ...{ '--listen': '127.0.0.1:1', '--http': 'off', '--stun': 'off', '--admin': '127.0.0.1:0' },
      ...{ '--hostname': '127.0.0.1', '--key-file': path.join(this.folder, 'key') },
      ...{ '--certificate-directory': this.folder, '--threads': String(THREADS), '--log-format': 'json' },
    };
    const args = [MAIN, 'serve', '--config', config, '--no-self-test', ...Object.entries(flags).flat()];
    this.child = spawn('sh', ['-c', command, 'sh', this.#program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', handleFd(server)],
    });
    this.#ended = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    // This process has the same socket and must not accept connections.
    server.close();
    await this.prints(/"msg":"towpath started"/);
  }

  /** Waits until the output has this. */
  prints(what: RegExp): Promise<RegExpExecArray> {
    const printed = new Promise<RegExpExecArray>((resolve, reject) => {
      const look = (): void => {
        const found = what.exec(this.#output);
        if (found !== null) resolve(found);
      };
      for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', look);
      this.child.once('close', () => reject(new Error(this.#output)));
      look();
    });
    return within(printed, `${String(what)} in:\n${this.#output}`, PATIENCE_MS);
  }

  async client(options: Partial<DerpClientOptions> = {}): Promise<DerpClient> {
    const usual = { transport, clock: this.#clock, verify: { kind: 'none' }, timeoutMs: PATIENCE_MS } as const;
    const client = await connectDerp({ ...usual, url: `https://127.0.0.1:${this.port}/derp`, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Connects clients until each thread has one; returns one of the main thread and one of the other. */
  async clientOfEachThread(): Promise<[DerpClient, DerpClient]> {
    const found: (DerpClient | undefined)[] = [];
    for (let i = 0; i < MOST_CLIENTS; i++) {
      const before = await this.#inMainThread();
      const client = await this.client();
      found[(await this.#inMainThread()) > before ? 0 : 1] ??= client;
      const [main, other] = found;
      if (main !== undefined && other !== undefined) return [main, other];
    }
    return assert.fail(`all of ${MOST_CLIENTS} clients came to one thread`);
  }

  /** Sends SIGUSR2. Resolves when the next process runs and the first one has ended in the orderly way. */
  async replace(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGUSR2');
    const [, pid = '0'] = await this.prints(/"pid":(\d+),"msg":"this process accepts/);
    this.nextPid = Number(pid);
    assert.deepEqual(await within(ended, 'the end of the previous process', PATIENCE_MS), [0, null]);
    await this.prints(/the previous one ends"[^]*"msg":"towpath started"/);
  }

  closeClients(): void {
    for (const client of this.#clients.splice(0)) client.abort();
  }

  async clean(): Promise<void> {
    this.closeClients();
    this.#clock.stop();
    this.child.kill('SIGKILL');
    if (this.nextPid !== 0) process.kill(this.nextPid, 'SIGKILL');
    await this.#ended;
    rmSync(this.folder, { recursive: true });
  }

  /** Number of clients of the main thread. */
  async #inMainThread(): Promise<number> {
    // The last process that has started.
    const port = [...this.#output.matchAll(/"admin":\{"ip":"127\.0\.0\.1","port":(\d+)/g)].at(-1)?.[1] ?? '';
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^towpath_relay_thread_connections\{thread="0"\} (\d+)/m.exec(text)?.[1]);
  }
}
