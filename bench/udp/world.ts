import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { CONTROL_URL, Headscale, REGION } from '../../test/interop/peer-relay/headscale.ts';
import { HUB_IP, Network } from '../../test/interop/peer-relay/network.ts';
import { Program, until } from '../../test/interop/peer-relay/program.ts';
import { TailscaleNode } from '../../test/interop/peer-relay/tailscale-node.ts';
import { makeContender, pin, type Contender, type ContenderName } from './contender.ts';
import type { Job, LoadCase, LoadResult } from './generate.ts';
import { jsonLines, MessageStream } from './message-stream.ts';
import { processCpuNs } from './process-cpu.ts';
import type { Fetched } from './traffic.ts';

const run = promisify(execFile);
const TRAFFIC = path.join(import.meta.dirname, 'traffic.ts');
const SENDER = path.join(import.meta.dirname, '../../test/interop/peer-relay/sender.ts');
const PORT = 7777;
const GENERATOR_CPU = '1';
const RELAY_CPU = '0';
const ALL_CPUS = '0-1';
const NS_PER_MS = 1e6;
const BYTES_PER_MB = 1e6;
/** A transfer of which a larger part went through DERP says nothing about the peer relay. */
const MOST_DERP_SHARE = 0.01;
/** A client repeats a failed first attempt after 30 s, and checks a path in use every 60 s. */
const PATIENCE_MS = 100_000;
const ALL_AT_ONCE_MS = 400_000;

/** The programs from other projects. */
export interface UpstreamPrograms {
  readonly headscale: string;
  readonly tailscale: string;
}

/** A tailnet of its own for one contender: Headscale, the relay, and two tailscaled without a direct path. */
export class World {
  readonly #network = new Network();
  readonly #folder = mkdtempSync('/tmp/tpu-');
  readonly #ends: (() => unknown)[] = [() => this.#network.remove()];
  readonly #programs: UpstreamPrograms;
  #relay!: Contender;
  #a!: TailscaleNode;
  #b!: TailscaleNode;
  #clientKey = '';

  constructor(programs: UpstreamPrograms) {
    this.#programs = programs;
  }

  /** Starts all but the relay. */
  async open(name: ContenderName): Promise<void> {
    const [network, folder, { tailscale: programs }] = [this.#network, this.#folder, this.#programs];
    const headscale = await Headscale.start(network, this.#programs.headscale, folder);
    this.#ends.push(() => headscale.program.stop());
    this.#relay = makeContender(name, { network, headscale, programs, folder });
    this.#ends.push(() => this.#relay.close());
    await this.#relay.prepare();
    this.#clientKey = headscale.clientKey();
    const nodes = (['a', 'b'] as const).map((place) => {
      const node = new TailscaleNode(network, place, programs, folder, { tun: 'ts0' });
      this.#ends.push(() => node.program.stop());
      return node;
    });
    for (const node of nodes) {
      await until(`tailscaled ${node.place} answers`, () => node.cli('version').length > 0);
      node.up(this.#clientKey);
    }
    [this.#a, this.#b] = nodes as [TailscaleNode, TailscaleNode];
  }

  /** Starts the relay; resolves with the milliseconds until the first pong through it. */
  async firstPong(): Promise<number> {
    const startedAt = performance.now();
    await this.#relay.start();
    await this.#untilRelayed();
    return performance.now() - startedAt;
  }

  /** Sends bytes from one node to the other; returns the CPU time of the relay and the rate. */
  async transfer(
    direction: 'to a' | 'to b',
    megabytes: number,
  ): Promise<{ cpuMsPerMb: number; mbitPerSecond: number }> {
    const [from, to] = direction === 'to a' ? [this.#b, this.#a] : [this.#a, this.#b];
    const bytes = megabytes * BYTES_PER_MB;
    const sender = this.#program(from, [SENDER, String(PORT), String(bytes), from.ip]);
    try {
      await until('the sender listens', () => sender.output.includes('listening'));
      const derpBefore = derpBytes(from);
      const cpu = processCpuNs(this.#relay.pid);
      const fetched = await this.#run<Fetched>(to, [TRAFFIC, 'fetch', from.ip, String(PORT)]);
      const cpuMs = (processCpuNs(this.#relay.pid) - cpu) / NS_PER_MS;
      await until('the sender is done', () => sender.output.includes('sent '));
      const [, sha256] = /sent ([0-9a-f]{64})/.exec(sender.output) ?? [];
      if (fetched.bytes !== bytes || fetched.sha256 !== sha256) throw new Error('other bytes came than were sent');
      const derpShare = (derpBytes(from) - derpBefore) / bytes;
      if (derpShare > MOST_DERP_SHARE)
        throw new Error(`${(derpShare * 100).toFixed(0)} % of the bytes went through DERP`);
      return { cpuMsPerMb: cpuMs / megabytes, mbitPerSecond: (bytes * 8) / 1e6 / fetched.seconds };
    } finally {
      await sender.stop();
    }
  }

  /** Sends load from our generator through the relay. The relay and the generator have one CPU each. */
  async load(cases: readonly LoadCase[], seconds: number): Promise<LoadResult[]> {
    const tailnet = {
      controlUrl: CONTROL_URL,
      authKey: this.#clientKey,
      region: REGION,
      derpUrl: `https://${HUB_IP}/derp`,
      relayName: 'relay',
      folder: this.#folder,
    };
    const job: Job = { tailnet, ip: HUB_IP, port: this.#relay.port, relayPid: this.#relay.pid, seconds, cases };
    pin(this.#relay.pid, RELAY_CPU);
    try {
      const script = path.join(import.meta.dirname, 'generate.ts');
      const argv = ['taskset', '-c', GENERATOR_CPU, process.execPath, script, JSON.stringify(job)];
      const [program, ...rest] = this.#network.inside('hub', argv) as [string, ...string[]];
      const { stdout } = await run(program, rest, { timeout: ALL_AT_ONCE_MS });
      return jsonLines<LoadResult>(stdout);
    } finally {
      pin(this.#relay.pid, ALL_CPUS);
    }
  }

  /**
   * Stops the relay under a stream of small messages and starts it again. Returns the longest times without a message, in
   * milliseconds, from the stop until the nodes use the relay again.
   */
  async restartHoles(): Promise<{ longestMs: number; allMs: number }> {
    const stream = await MessageStream.start(this.#network, this.#a, this.#b);
    try {
      await until('the messages arrive', () => stream.arrivals().length > 0);
      const before = stream.arrivals().length;
      await this.#relay.stop();
      await this.#relay.start();
      await this.#untilRelayed();
      // The path may be lost again.
      await new Promise((resolve) => setTimeout(resolve, 8000));
      const gaps = stream
        .arrivals()
        .slice(before)
        .map(({ gapMs }) => gapMs);
      return { longestMs: Math.max(0, ...gaps), allMs: gaps.reduce((sum, gap) => sum + gap, 0) };
    } finally {
      await stream.stop();
    }
  }

  /** Keeps the nodes silent. Returns for how long messages then do not arrive, and whether the first go through the relay. */
  async idleHole(seconds: number): Promise<{ holeMs: number; isRelayed: boolean }> {
    await this.#untilRelayed();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const stream = await MessageStream.start(this.#network, this.#a, this.#b);
    try {
      await until('the messages arrive', () => stream.arrivals().length > 0);
      const path = this.#a.pathTo(this.#b.ip);
      await new Promise((resolve) => setTimeout(resolve, 5000));
      const holeMs = Math.max(...stream.arrivals().map(({ gapMs }) => gapMs));
      return { holeMs, isRelayed: path.startsWith('peer-relay') };
    } finally {
      await stream.stop();
    }
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #untilRelayed(): Promise<void> {
    const ip = this.#b.ip;
    let last = '';
    await until(
      () => `a pong through the relay; the last was: ${last}`,
      () => {
        last = this.#a.ping(ip);
        return last.includes('via peer-relay(') || this.#a.pathTo(ip).startsWith('peer-relay');
      },
      PATIENCE_MS,
    );
  }

  #program(node: TailscaleNode, argv: readonly string[]): Program {
    return new Program(this.#network.inside(node.place, [process.execPath, ...argv]));
  }

  async #run<T>(node: TailscaleNode, argv: readonly string[]): Promise<T> {
    const [program, ...rest] = this.#network.inside(node.place, [process.execPath, ...argv]) as [string, ...string[]];
    const { stdout } = await run(program, rest, { timeout: ALL_AT_ONCE_MS });
    return JSON.parse(stdout) as T;
  }
}

/** Returns how many bytes a node has sent through DERP so far. Throws an Error when it does not say that. */
function derpBytes(node: TailscaleNode): number {
  const [, count] = /^tailscaled_outbound_bytes_total\{path="derp"\} (\d+)/m.exec(node.cli('metrics', 'print')) ?? [];
  if (count === undefined) throw new Error('tailscaled does not count what it sends through DERP');
  return Number(count);
}
