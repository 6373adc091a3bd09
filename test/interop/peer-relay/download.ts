import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import type { Network } from './network.ts';
import { Program, until } from './program.ts';
import type { TailscaleNode } from './tailscale-node.ts';

const PORT = 7777;

/** A transfer from one node to another through the tunnel, with the hash of the bytes at both ends. */
export class Download {
  received = 0;
  readonly #sender: Program;
  readonly #hash = createHash('sha256');
  readonly #ended: Promise<unknown>;
  readonly #startedAt = performance.now();

  private constructor(sender: Program, argv: readonly string[]) {
    this.#sender = sender;
    const [program, ...rest] = argv as [string, ...string[]];
    // `nc` ends when its input ends.
    const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdout.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      this.#hash.update(chunk);
    });
    this.#ended = once(child, 'close');
  }

  static async start(network: Network, from: TailscaleNode, to: TailscaleNode, bytes: number): Promise<Download> {
    const script = path.join(import.meta.dirname, 'sender.ts');
    const sender = new Program(network.inside(from.place, [process.execPath, script, String(PORT), String(bytes)]));
    await until('the sender listens', () => sender.output.includes('listening'));
    return new Download(sender, to.netcat(from.ip, PORT));
  }

  /** Resolves when all bytes have arrived; throws an Error when they differ from the sent bytes. */
  async finish(bytes: number): Promise<{ seconds: number }> {
    await this.#ended;
    await until('the sender is done', () => this.#sender.output.includes('sent '));
    const seconds = (performance.now() - this.#startedAt) / 1000;
    await this.#sender.stop();
    const [, sent = ''] = /sent ([0-9a-f]{64})/.exec(this.#sender.output) ?? [];
    const got = this.#hash.digest('hex');
    if (this.received !== bytes || got !== sent)
      throw new Error(`received ${this.received} of ${bytes} bytes, SHA-256 ${got} instead of ${sent}`);
    return { seconds };
  }
}
