import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { findRuntime } from '../../src/cli/runtime.ts';
import { HUB_IP, type Network } from '../../test/interop/peer-relay/network.ts';
import type { Headscale } from '../../test/interop/peer-relay/headscale.ts';
import { until } from '../../test/interop/peer-relay/program.ts';
import { TailscaleNode } from '../../test/interop/peer-relay/tailscale-node.ts';
import { Towpath } from '../../test/interop/peer-relay/towpath.ts';

/** The compared peer relays: a stock tailscaled, and ours on both runtimes. */
export const CONTENDERS = ['stock', 'node', 'bun'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** A peer relay in the hub, and the DERP relay of its home region. */
export interface Contender {
  /** The address of its UDP port. */
  readonly port: number;
  readonly pid: number;
  /** Starts what the relay needs. */
  prepare(): Promise<void>;
  /** Starts the relay. It does not wait until clients can use it: this time is measured. */
  start(): Promise<void>;
  /** Stops it in order. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** The parts that every contender needs. */
export interface ContenderParts {
  readonly network: Network;
  readonly headscale: Headscale;
  readonly programs: string;
  readonly folder: string;
}

/** The installed program and not the sources, because the start is measured. */
const MAIN = path.resolve(import.meta.dirname, '../../dist/main.js');
const STOCK_PORT = 40_000;
/** Limits that allow the many endpoints of one generator. */
const LIMITS = { endpoints: 10_000, endpointsPerNode: 10_000, allocationsPerMinute: 100_000 };

/** Makes a contender; nothing runs yet. */
export function makeContender(name: ContenderName, parts: ContenderParts): Contender {
  if (name === 'stock') return new StockRelay(parts);
  return new TowpathRelay(parts, name === 'bun' ? findRuntime('bun') : process.execPath);
}

/** Our peer relay: DERP and peer relay are one process. */
class TowpathRelay implements Contender {
  readonly port = 3478;
  readonly #towpath: Towpath;

  constructor({ network, headscale, folder }: ContenderParts, runtime: string) {
    this.#towpath = new Towpath(network, folder, headscale.relayKey(), { runtime, main: MAIN, limits: LIMITS });
  }

  get pid(): number {
    return this.#towpath.program!.pid;
  }

  async prepare(): Promise<void> {
    // DERP is in the same process.
  }

  start(): Promise<void> {
    this.#towpath.launch();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return this.#towpath.stop();
  }

  close(): Promise<void> {
    return this.#towpath.stop();
  }
}

/** A stock tailscaled. It needs only a DERP relay, which is ours. */
class StockRelay implements Contender {
  readonly port = STOCK_PORT;
  readonly #parts: ContenderParts;
  readonly #derp: Towpath;
  #node: TailscaleNode | null = null;
  #isRegistered = false;

  constructor(parts: ContenderParts) {
    this.#parts = parts;
    this.#derp = new Towpath(parts.network, parts.folder, '', {
      runtime: process.execPath,
      main: MAIN,
      isDerpOnly: true,
    });
  }

  get pid(): number {
    return this.#node!.program.pid;
  }

  async prepare(): Promise<void> {
    await this.#derp.start();
  }

  async start(): Promise<void> {
    const { network, programs, folder, headscale } = this.#parts;
    const node = new TailscaleNode(network, 'hub', programs, folder);
    this.#node = node;
    await until('the relay answers', () => node.cli('version').length > 0);
    if (this.#isRegistered) return;
    node.up(headscale.relayKey(), 'relay');
    node.cli('set', `--relay-server-port=${STOCK_PORT}`, `--relay-server-static-endpoints=${HUB_IP}:${STOCK_PORT}`);
    this.#isRegistered = true;
  }

  async stop(): Promise<void> {
    await this.#node?.program.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.#derp.stop();
  }
}

/** Has all threads of a process run on one CPU, or on any. */
export function pin(pid: number, cpus: string): void {
  execFileSync('taskset', ['-a', '-p', '-c', cpus, String(pid)], { stdio: 'ignore' });
}
