import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** A program that runs for the length of the test; its output is kept. */
export class Program {
  output = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(argv: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const [program, ...rest] = argv as [string, ...string[]];
    this.#child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#ended = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  /** Process number of the program itself: `ip netns exec` becomes the program. */
  get pid(): number {
    return this.#child.pid!;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Repeats `condition` until it holds; returns the time in milliseconds. Throws an Error after the deadline. */
export async function until(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    try {
      if (await condition()) return performance.now() - startedAt;
    } catch {
      // The program does not answer yet.
    }
    if (performance.now() - startedAt > deadlineMs)
      throw new Error(`not within ${deadlineMs / 1000} s: ${typeof what === 'string' ? what : what()}`);
    await delay(100);
  }
}
