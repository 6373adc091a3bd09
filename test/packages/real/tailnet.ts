import { until, Program } from '../../interop/peer-relay/program.ts';
import type { Headscale } from '../../interop/peer-relay/headscale.ts';
import type { Network } from '../../interop/peer-relay/network.ts';
import { TailscaleNode } from '../../interop/peer-relay/tailscale-node.ts';
import { jsonLines, MessageStream } from '../../../bench/udp/message-stream.ts';
import path from 'node:path';

const TRAFFIC = path.resolve(import.meta.dirname, '../../../bench/udp/traffic.ts');
const DOWNLOAD_BYTES = 20_000_000;
const PORT = 7000;
const SERVER = `require('node:net').createServer((s) => s.end(Buffer.alloc(${DOWNLOAD_BYTES}, 7))).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;
/** Time in which the stream must stay complete, in milliseconds. */
const SETTLED_MS = 3000;

/** Two stock tailscaled that reach each other over DERP only, in a tailnet of Headscale. */
export class Tailnet {
  readonly #network: Network;
  readonly #a: TailscaleNode;
  readonly #b: TailscaleNode;

  private constructor(network: Network, a: TailscaleNode, b: TailscaleNode) {
    this.#network = network;
    this.#a = a;
    this.#b = b;
  }

  static async join(network: Network, control: Headscale, programs: string, folder: string): Promise<Tailnet> {
    const nodes = (['a', 'b'] as const).map(
      (place) => new TailscaleNode(network, place, programs, folder, { tun: 'ts0' }),
    );
    const [a, b] = nodes as [TailscaleNode, TailscaleNode];
    for (const node of nodes) {
      await until(`tailscaled ${node.place} answers`, () => node.cli('version').length > 0);
      node.up(control.clientKey());
    }
    return new Tailnet(network, a, b);
  }

  /** The answer of `tailscale ping` over DERP. */
  async ping(): Promise<string> {
    let answer = '';
    await until('a pong over DERP', () => (answer = this.#a.ping(this.#b.ip)).includes('via DERP('));
    return answer;
  }

  /** Fetches a file from the other node; returns its length and the seconds. */
  async download(): Promise<string> {
    const server = new Program(this.#network.inside('b', [process.execPath, '-e', SERVER]));
    try {
      await until('the server is ready', () => server.output.includes('ready'));
      const fetch = [process.execPath, TRAFFIC, 'fetch', this.#b.ip, String(PORT)];
      const client = new Program(this.#network.inside('a', fetch));
      await until('the download', () => !client.isRunning, 120_000);
      const [fetched] = jsonLines<{ bytes: number; seconds: number }>(client.output);
      if (fetched?.bytes !== DOWNLOAD_BYTES) throw new Error(`download: ${client.output}`);
      return `${fetched.bytes / 1e6} MB in ${fetched.seconds.toFixed(1)} s`;
    } finally {
      await server.stop();
    }
  }

  /** Sends a message each 10 ms during `change`. Returns the longest time without a message; gaps below 50 ms do not count. */
  async longestGap(change: () => void | Promise<void>): Promise<number> {
    const stream = await MessageStream.start(this.#network, this.#a, this.#b);
    try {
      await until('the messages arrive', () => stream.arrivals().length > 0);
      const before = stream.arrivals().length;
      await change();
      await this.ping();
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      return Math.max(
        0,
        ...stream
          .arrivals()
          .slice(before)
          .map(({ gapMs }) => gapMs),
      );
    } finally {
      await stream.stop();
    }
  }

  async stop(): Promise<void> {
    await Promise.all([this.#a.program.stop(), this.#b.program.stop()]);
  }
}
