import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findRuntime, type RuntimeName } from '../../src/cli/runtime.ts';
import { within } from '../service/support.ts';
import type { Target } from './wire.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const START_MS = 30_000;
const END_MS = 60_000;
/** Number of characters of the log that are kept. A fuzzed relay logs much; each piece is searched for problems when it comes. */
const OUTPUT_CHARACTERS = 65_536;
// The log of a bug contains "please report". "unexpected message" and "internal error" are errors of peers in OpenSSL.
const PROBLEM = /please report|unhandled|uncaught|(?:Type|Range|Reference|Internal)Error|(?:\n|\\n) {4}at /i;

/** How the relay under test is set up. */
export const SETUPS = {
  'as it comes': '',
  'behind a proxy': 'proxy: { protocol: true }\n',
  // The authority never answers. The relay must only read ClientHellos for the challenge.
  'with ACME':
    'certificate: { mode: auto, directory: certs, acme: { directory: "https://127.0.0.1:1/", termsAgreed: true, challenges: [tls-alpn-01] } }\n',
} as const;
export type Setup = keyof typeof SETUPS;

/** Short deadlines, so that waiting connections end before the check. Limits by source count all clients of the loopback together. */
const CONFIGURATION = `
listen: 127.0.0.1:0
http: 127.0.0.1:0
stun: 127.0.0.1:0
admin: 127.0.0.1:0
hostname: derp.example.com
keyFile: derper.key
admission: { open: true }
selfTest: false
home: { mode: full }
limits: { tlsHandshakeMs: 2000, requestHeadMs: 2000, derpHandshakeMs: 2000 }
log: { level: info }
`;

/** A relay process under attack. */
export class FuzzedRelay {
  readonly #child: ChildProcess;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'towpath-fuzz-'));
  readonly #ended: Promise<unknown[]>;
  #output = '';
  #hasEnded = false;
  /** The first part of its log with a bug. */
  problem: string | null = null;

  constructor(runtime: RuntimeName, setup: Setup) {
    const file = path.join(this.#folder, 'towpath.yaml');
    const certificate = setup === 'with ACME' ? '' : 'certificate: { directory: certs }\n';
    writeFileSync(file, CONFIGURATION + certificate + SETUPS[setup]);
    const program = runtime === 'node' ? process.execPath : findRuntime(runtime);
    this.#child = spawn(program, [MAIN, 'serve', '--config', file], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#ended = once(this.#child, 'close');
    void this.#ended.then(() => (this.#hasEnded = true));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARACTERS);
        const match = PROBLEM.exec(text);
        if (match !== null) this.problem ??= text.slice(Math.max(match.index - 500, 0), match.index + 1500);
      });
    }
    process.once('exit', () => this.#child.kill('SIGKILL'));
  }

  get isAlive(): boolean {
    return !this.#hasEnded;
  }

  /** Returns the end of its log. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it listens; resolves with its ports. */
  async started(): Promise<Target & { readonly admin: number }> {
    const ready = new Promise<void>((resolve, reject) => {
      this.#child.stdout?.on('data', () => {
        if (this.#output.includes('public key')) resolve();
      });
      void this.#ended.then(() => reject(new Error(`the relay ended at the start:\n${this.#output}`)));
    });
    await within(ready, 'the start of the relay', START_MS);
    const port = (name: string): number => Number(new RegExp(`^  ${name} .*?:(\\d+)`, 'm').exec(this.#output)?.[1]);
    return { derp: port('DERP'), http: port('HTTP'), stun: port('STUN'), admin: port('admin'), hasTls: true };
  }

  rssMiB(): number {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid!}/status`, 'utf8'))![1]) / 1024;
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.#child.pid!}/fd`).length;
  }

  /** Stops it; resolves with exit code and signal. */
  async end(): Promise<unknown[]> {
    this.#child.kill('SIGTERM');
    return within(this.#ended, `the end of the relay:\n${this.#output.slice(-2000)}`, END_MS);
  }

  async clean(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Returns all values of one scrape of `/metrics`, by name with labels. */
export async function scrape(admin: number): Promise<ReadonlyMap<string, number>> {
  const text = await new Promise<string>((resolve, reject) => {
    get({ host: '127.0.0.1', port: admin, path: '/metrics', agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}
