import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/base/clock.ts';
import { connectDerp } from '../../src/client/connect.ts';
import type { DerpClient } from '../../src/client/derp-client.ts';
import { findRuntime } from '../../src/cli/runtime.ts';
import { transport } from '../../src/transport/runtime.ts';
import type { NodeKeyPair } from '../../src/wire/keys.ts';

/** Longest wait, in milliseconds; only a busy machine needs a large part of it. */
const PATIENCE_MS = 60_000;
const RELAY = path.join(import.meta.dirname, 'relay.ts');

/** The line that `relay.ts` prints when it has started. */
interface Started {
  readonly port: number;
  readonly admin: number;
  readonly pin: string;
}

/** One relay of a region, in a process on one of the runtimes. */
export class RegionRelay {
  readonly name: string;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly lines: string[] = [];
  #child: ChildProcess | null = null;
  #started: Started | null = null;

  /** `settings` are the rest of its configuration, in YAML. */
  constructor(parent: string, name: string, settings: string, clock: Clock) {
    this.name = name;
    this.#clock = clock;
    this.#folder = path.join(parent, name);
    mkdirSync(this.#folder);
    const own = ['listen', 'stun', 'admin'].map((key) => `${key}: 127.0.0.1:0`).join('\n');
    const files = 'keyFile: derper.key\ncertificate: { directory: certs }\n';
    writeFileSync(
      path.join(this.#folder, 'towpath.yaml'),
      `${own}\nhttp: off\nhostname: 127.0.0.1\n${files}accounting: { directory: accounting, flushSeconds: 1 }\n${settings}`,
    );
  }

  /** Starts it on a runtime. */
  async start(runtime: 'node' | 'bun'): Promise<void> {
    const program = runtime === 'bun' ? findRuntime('bun') : process.execPath;
    const child = spawn(program, [RELAY, this.#folder], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.lines.push(line));
    for await (const line of createInterface({ input: child.stdout })) {
      this.#started = JSON.parse(line) as Started;
      return;
    }
    throw new Error(`${this.name} does not start: ${this.lines.slice(-5).join('\n')}`);
  }

  async client(keys: NodeKeyPair): Promise<DerpClient> {
    const { port, pin } = this.#started!;
    const verify = { kind: 'pin', sha256: pin } as const;
    const url = `https://127.0.0.1:${port}/derp`;
    return connectDerp({ transport, clock: this.#clock, url, verify, keys, timeoutMs: 10_000 });
  }

  /** Does an action through the API of the admin listener. */
  async act(name: string, body: object): Promise<number> {
    const { admin } = this.#started!;
    const answer = await fetch(`http://127.0.0.1:${admin}/api/v1/actions/${name}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    return answer.status;
  }

  /** Reads a page of the admin listener, as text. */
  async page(name: string): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.#started!.admin}/${name}`);
    return answer.text();
  }

  /** Reads the value of a metric; NaN if there is none. */
  async metric(name: string): Promise<number> {
    const line = (await this.page('metrics')).split('\n').find((text) => text.startsWith(`${name} `));
    return Number(line?.split(' ')[1]);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.stdin?.end();
    const limit = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(limit);
    this.#child = null;
  }
}

/** Waits until `condition` holds; fails with the name of the condition. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<number> {
  const startedAt = performance.now();
  while (!(await condition())) {
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error(`not in time: ${what}`);
    await sleep(50);
  }
  return performance.now() - startedAt;
}
