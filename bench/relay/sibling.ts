import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../test/free-port.ts';
import { GENERATOR_CPU, type RelayFiles } from './programs.ts';

const PATIENCE_MS = 60_000;

const running = new Set<ChildProcess>();
// One that is paused would not notice that this process has ended.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** What the process of a sibling is started with. */
export interface SiblingSettings {
  readonly port: number;
  /** 64 hex digits. */
  readonly meshKey: string;
  readonly certificate: string;
  readonly certificateKey: string;
}

/** What a sibling is asked to do. */
export type SiblingOrder = { readonly kind: 'listen' } | { readonly kind: 'keys'; readonly count: number };

/** What it tells. */
type SiblingNews =
  | { readonly kind: 'listening' | 'reached'; readonly detail: '' }
  /** A client has connected: the name of its program. */
  | { readonly kind: 'joined'; readonly detail: string }
  /** So many keys are entered: those in hex that are watched. */
  | { readonly kind: 'keys'; readonly detail: readonly string[] };

/** Another relay of the region, with keys that have no connections. */
export class Sibling {
  readonly port: number;
  readonly #child: ChildProcess;
  /** When each kind of news came last. */
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

  /** Starts one that does not listen yet. */
  static async start(files: RelayFiles, meshKey: string): Promise<Sibling> {
    const { certificate, certificateKey } = files;
    const settings: SiblingSettings = { port: await freePort(), meshKey, certificate, certificateKey };
    const command = ['-c', String(GENERATOR_CPU), process.execPath, join(import.meta.dirname, 'sibling-process.ts')];
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

  /** Resolves with when it has first told this, in milliseconds of this process. */
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

  /** From now on it reads nothing, until it resumes. */
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
