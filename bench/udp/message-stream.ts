import path from 'node:path';
import type { Network } from '../../test/interop/peer-relay/network.ts';
import { Program, until } from '../../test/interop/peer-relay/program.ts';
import type { TailscaleNode } from '../../test/interop/peer-relay/tailscale-node.ts';
import type { Arrival } from './traffic.ts';

const TRAFFIC = path.join(import.meta.dirname, 'traffic.ts');
const PORT = 7777;
const SHORTEST_GAP_MS = 50;

/** Small messages from one node to another through their tunnel, until it is stopped. */
export class MessageStream {
  readonly #listener: Program;
  readonly #sender: Program;

  private constructor(listener: Program, sender: Program) {
    this.#listener = listener;
    this.#sender = sender;
  }

  /** Reports silences of more than `shortestGapMs` milliseconds. */
  static async start(
    network: Network,
    from: TailscaleNode,
    to: TailscaleNode,
    shortestGapMs: number = SHORTEST_GAP_MS,
  ): Promise<MessageStream> {
    const run = (node: TailscaleNode, ...argv: string[]): Program =>
      new Program(network.inside(node.place, [process.execPath, TRAFFIC, ...argv]));
    const listener = run(to, 'listen', String(PORT), String(shortestGapMs));
    await until('the listener is ready', () => listener.output.includes('ready'));
    return new MessageStream(listener, run(from, 'send', to.ip, String(PORT)));
  }

  /** The first message, and each one that arrived after a gap. */
  arrivals(): Arrival[] {
    return jsonLines<Arrival>(this.#listener.output);
  }

  async stop(): Promise<void> {
    await this.#sender.stop();
    await this.#listener.stop();
  }
}

/** Returns the complete lines of an output that are JSON objects. */
export function jsonLines<T>(text: string): T[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as T);
}
