import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { within } from '../service/support.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');

/**
 * Longest wait for a line of a relay or for its end, in milliseconds. A start takes a second of processor time, of which a
 * busy machine gives a tenth.
 */
const PATIENCE_MS = 60_000;

/** `towpath serve` as a process of its own, in a folder of its own. */
export class RelayProcess {
  readonly child: ChildProcess;
  readonly folder: string;
  output = '';
  readonly #ended: Promise<unknown[]>;

  /**
   * `program` runs the sources, or is a compiled executable when `main` is null. `options` may
   * replace the environment and the standard streams, but only pipes are read here.
   */
  constructor(
    args: readonly string[],
    folder: string = mkdtempSync(path.join(tmpdir(), 'towpath-e2e-')),
    program: string = process.execPath,
    main: string | null = MAIN,
    options: Pick<SpawnOptions, 'stdio' | 'env'> = {},
  ) {
    this.folder = folder;
    const own = ['--key-file', path.join(folder, 'derper.json'), '--certificate-directory', path.join(folder, 'certs')];
    this.child = spawn(
      program,
      [...(main === null ? [] : [main]), 'serve', ...own, '--hostname', '127.0.0.1', ...args],
      { stdio: ['ignore', 'pipe', 'pipe'], ...options, cwd: folder },
    );
    this.#ended = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  /** Waits until the output matches and returns the match. */
  async says(pattern: RegExp, deadlineMs: number = PATIENCE_MS): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(this.output);
        if (match !== null) resolve(match);
      };
      this.child.stdout?.on('data', look);
      this.child.stderr?.on('data', look);
      this.child.once('close', () => reject(new Error(`ended without ${String(pattern)}:\n${this.output}`)));
      look();
    });
    return within(found, `${String(pattern)} in:\n${this.output}`, deadlineMs);
  }

  /** The port behind `name` in the banner, for example `DERP`. */
  async port(name: string): Promise<number> {
    const match = await this.says(new RegExp(`^  ${name} .*?:(\\d+)`, 'm'));
    return Number(match[1]);
  }

  /** Sends signals in order, and returns exit code and signal of the end. */
  async end(...signals: NodeJS.Signals[]): Promise<unknown[]> {
    for (const signal of signals) this.child.kill(signal);
    return within(this.#ended, `the end of:\n${this.output}`, PATIENCE_MS);
  }

  async clean(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Flags for loopback addresses with free ports, for all listeners. */
export const FREE_PORTS: readonly string[] = [
  '--listen',
  '127.0.0.1:0',
  '--http',
  '127.0.0.1:0',
  '--stun',
  '127.0.0.1:0',
  '--admin',
  '127.0.0.1:0',
];
