import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { findRuntime, type RuntimeName } from '../../src/cli/runtime.ts';
import { Clock } from '../../src/base/clock.ts';
import { transport } from '../../src/transport/runtime.ts';
import { within } from '../service/support.ts';
import { freePort } from '../free-port.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const START_MS = 30_000;
const CONNECT_MS = 10_000;

/** How a relay is started. */
export interface ChaosRelayOptions {
  readonly runtime: RuntimeName;
  /** Words before the runtime: `prlimit …`. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** More keys of the configuration, as YAML. */
  readonly configuration?: string;
  /** The destination of the log: kept here, a file on a full disk, or a pipe that is not read. */
  readonly log?: 'kept' | 'full' | 'unread';
  readonly ip?: string;
}

/** A relay process on known ports, and its clients. */
export class ChaosRelay {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'towpath-chaos-'));
  readonly #options: ChaosRelayOptions;
  readonly #clock = new Clock();
  readonly #clients: DerpClient[] = [];
  #child: ChildProcess | null = null;
  #ended: Promise<unknown[]> = Promise.resolve([]);
  output = '';
  port = 0;
  adminPort = 0;

  constructor(options: ChaosRelayOptions) {
    this.#options = options;
    this.#clock.start();
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  get isAlive(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the process and waits until it answers. May be called again after the process has ended. */
  async start(): Promise<void> {
    const { runtime, wrapper = [], env = {}, configuration = '', log = 'kept', ip = '127.0.0.1' } = this.#options;
    if (this.port === 0) [this.port, this.adminPort] = [await freePort(), await freePort()];
    const file = path.join(this.folder, 'towpath.yaml');
    const own = [
      `listen: ${ip}:${this.port}`,
      `admin: 127.0.0.1:${this.adminPort}`,
      'http: off',
      'stun: off',
      'hostname: 127.0.0.1',
      'keyFile: derper.key',
      'certificate: { directory: certs }',
      'admission: { open: true }',
      'selfTest: false',
    ];
    writeFileSync(file, `${own.join('\n')}\n${configuration}`);
    const program = runtime === 'node' ? process.execPath : findRuntime(runtime);
    const command = [...wrapper, program, MAIN, 'serve', '--config', file];
    const shell = log === 'full' ? ['sh', '-c', 'exec "$@" 2> /dev/full', 'sh', ...command] : command;
    const child = spawn(shell[0]!, shell.slice(1), {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    this.#ended = once(child, 'close');
    process.once('exit', () => child.kill('SIGKILL'));
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    if (log !== 'unread') child.stderr.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    await this.eventually(async () => (await this.ready()) === 200, 'the relay is ready', START_MS);
  }

  /** The status of `/readyz`; 0 when it does not answer. */
  async ready(): Promise<number> {
    if (!this.isAlive) throw new Error(`the relay is gone:\n${this.output.slice(-3000)}`);
    try {
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`, {
        signal: AbortSignal.timeout(2000),
        headers: { connection: 'close' },
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }

  async client(): Promise<DerpClient> {
    const client = await connectDerp({
      transport,
      clock: this.#clock,
      url: `https://${this.#options.ip ?? '127.0.0.1'}:${this.port}/derp`,
      verify: { kind: 'none' },
      timeoutMs: CONNECT_MS,
    });
    this.#clients.push(client);
    return client;
  }

  /** Reads the public key, to check that it stays the same. */
  key(): string {
    return readFileSync(path.join(this.folder, 'derper.key'), 'utf8');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Waits for the end; resolves with exit code and signal. */
  async ended(deadlineMs = 20_000): Promise<unknown[]> {
    return within(this.#ended, 'the end of the relay', deadlineMs);
  }

  /** Waits until `condition` holds. */
  async eventually(condition: () => boolean | Promise<boolean>, what: string, deadlineMs = 20_000): Promise<void> {
    const startedAt = performance.now();
    while (!(await condition())) {
      if (performance.now() - startedAt > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
      await delay(50);
    }
  }

  async clean(): Promise<void> {
    for (const client of this.#clients) client.abort();
    this.kill('SIGKILL');
    if (this.#child !== null) await this.#ended;
    this.#clock.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Sends `count` numbered packets and waits until all have arrived, in order. */
export async function exchange(from: DerpClient, to: DerpClient, count: number, deadlineMs = 30_000): Promise<void> {
  let next = 0;
  const arrived = new Promise<void>((resolve, reject) => {
    to.handler = {
      packet: (_source, buffer, at) => {
        if (buffer.readUInt32BE(at) !== next++) reject(new Error(`packet ${next - 1} is not the one that came`));
        if (next === count) resolve();
      },
      closed: (error) => reject(error ?? new Error('closed')),
    };
  });
  for (let i = 0; i < count; i++) {
    const packet = Buffer.alloc(100);
    packet.writeUInt32BE(i);
    if (!from.send(to.publicKey, packet)) throw new Error('the client takes no packet');
  }
  await within(arrived, `${count} packets`, deadlineMs);
}
