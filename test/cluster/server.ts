import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { createClient } from '@redis/client';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The installed server, Valkey before Redis: the package `valkey-server` or `redis-server` of Debian. */
export const SERVER: string | undefined = ['valkey-server', 'redis-server'].find(
  (name) => spawnSync(name, ['--version']).error === undefined,
);
const START_MS = 20_000;

/** A Valkey or Redis server on a Unix socket in a folder, which keeps its data over a restart. */
export class TestServer {
  readonly socket: string;
  readonly #folder: string;
  #password: string;
  #child: ChildProcess | null = null;

  constructor(folder: string, password: string) {
    this.#folder = folder;
    this.#password = password;
    this.socket = path.join(folder, 'valkey.sock');
  }

  /** Starts it and resolves when it listens. */
  async start(): Promise<void> {
    if (SERVER === undefined) throw new Error('neither valkey-server nor redis-server is installed');
    const args = ['--port', '0', '--unixsocket', this.socket, '--requirepass', this.#password, '--save', ''];
    const more = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', this.#folder];
    this.#child = spawn(SERVER, [...args, ...more], { stdio: 'ignore' });
    for (const startedAt = performance.now(); performance.now() - startedAt < START_MS;) {
      if (await this.#isListening()) return;
      await sleep(50);
    }
    throw new Error(`${SERVER} does not listen`);
  }

  /** Runs a command on it. */
  async command(...command: readonly string[]): Promise<void> {
    const client = createClient({ socket: { path: this.socket, reconnectStrategy: false }, password: this.#password });
    await client.connect();
    try {
      await client.sendCommand(command);
    } finally {
      client.destroy();
    }
  }

  /** Pauses the process: it answers nothing until {@link resume}, and its connections stay open. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Changes the password; open connections end. */
  async changePassword(password: string): Promise<void> {
    await this.command('CONFIG', 'SET', 'requirepass', password);
    this.#password = password;
    await this.command('CLIENT', 'KILL', 'TYPE', 'normal');
  }

  /** Ends it with SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await ended;
    this.#child = null;
  }

  #isListening(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const socket = connect(this.socket);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    return promise;
  }
}
