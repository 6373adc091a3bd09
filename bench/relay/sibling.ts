import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../test/free-port.ts';
import { findRuntime } from '../../src/cli/runtime.ts';
import { GENERATOR_CPU, SERVER_CPU, type RelayFiles } from './programs.ts';

const PATIENCE_MS = 60_000;

const running = new Set<ChildProcess>();
// A paused process would not notice the end of this process.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The settings of the process of a sibling. */
export interface SiblingSettings {
  readonly port: number;
  /** 64 hex digits. */
  readonly meshKey: string;
  readonly certificate: string;
  readonly certificateKey: string;
}

/** A message to a sibling. */
export type SiblingOrder = { readonly kind: 'listen' } | { readonly kind: 'keys'; readonly count: number };

/** A message from a sibling. */
type SiblingNews =
  | { readonly kind: 'listening' | 'reached'; readonly detail: '' }
  /** A client has connected; `detail` is the name of its program. */
  | { readonly kind: 'joined'; readonly detail: string }
  /** The keys are in the table; `detail` has the watched ones in hex. */
  | { readonly kind: 'keys'; readonly detail: readonly string[] };

/** Another relay of the region, with keys that have no connections. */
export class Sibling {
  readonly port: number;
  readonly #child: ChildProcess;
  /** The first message of each kind, with its time. */
  readonly #news = new Map<string, { readonly at: number; readonly detail: string | readonly string[] }>();
  #changed: () => void = () => undefined;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.on('message', (news: SiblingNews) => {
      if (!this.#news.has(news.kind)) this.#news.set(news.kind, { at: performance.now(), detail: news.detail });
      this.#changed();
    });
  }

  /**
   * Starts the process; it does not listen yet. With a `runtime`, the sibling itself is measured: it runs on that one and on the
   * CPU of the relay.
   */
  static async start(files: RelayFiles, meshKey: string, runtime: 'node' | 'bun' | null = null): Promise<Sibling> {
    const { certificate, certificateKey } = files;
    const settings: SiblingSettings = { port: await freePort(), meshKey, certificate, certificateKey };
    const program = runtime === 'bun' ? findRuntime('bun') : process.execPath;
    const cpu = runtime === null ? GENERATOR_CPU : SERVER_CPU;
    const command = ['-c', String(cpu), program, join(import.meta.dirname, 'sibling-process.ts')];
    const child = fork(command.pop()!, [JSON.stringify(settings)], {
      execPath: 'taskset',
      execArgv: command,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    return new Sibling(settings.port, child);
  }

  /** Resolves once it accepts connections. */
  async listen(): Promise<void> {
    this.#order({ kind: 'listen' });
    await this.heard('listening');
  }

  /** Enters `count` random keys. Resolves with some of them, spread evenly. */
  async addKeys(count: number): Promise<readonly Buffer[]> {
    this.#order({ kind: 'keys', count });
    const { detail } = await this.heard('keys');
    return (detail as readonly string[]).map((hex) => Buffer.from(hex, 'hex'));
  }

  /** Waits for the first message of this kind. Resolves with its time (`at`), in milliseconds of this process, and its detail. */
  async heard(
    kind: SiblingNews['kind'],
  ): Promise<{ readonly at: number; readonly detail: string | readonly string[] }> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const news = this.#news.get(kind);
      if (news !== undefined) return news;
      if (performance.now() > deadline)
        throw new Error(`the sibling has not said "${kind}" within ${PATIENCE_MS / 1000} s`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        setTimeout(resolve, PATIENCE_MS).unref();
      });
    }
  }

  /** Pauses the process: it reads nothing until `resume()`. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #order(order: SiblingOrder): void {
    this.#child.send(order);
  }
}
