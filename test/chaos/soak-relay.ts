import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findRuntime, type RuntimeName } from '../../src/cli/runtime.ts';
import { within } from '../service/support.ts';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');
const START_MS = 30_000;
const END_MS = 30_000;
const SCRAPE_MS = 30_000;
const OUTPUT_CHARACTERS = 65_536;
/** Unit of CPU times in `/proc/PID/stat` of Linux. */
const TICKS_PER_SECOND = 100;

/** Short deadlines, so that the connection of a waiting peer ends before many others wait. */
const CONFIGURATION = `
listen: 127.0.0.1:0
http: off
stun: 127.0.0.1:0
admin: 127.0.0.1:0
hostname: 127.0.0.1
keyFile: derper.key
certificate: { directory: certs }
admission: { open: true }
selfTest: false
limits: { tlsHandshakeMs: 4000, requestHeadMs: 4000, derpHandshakeMs: 4000, keepAliveSeconds: 20 }
log: { level: error }
`;

/** All metrics of one scrape, by name with labels as they are printed. */
export type Metrics = ReadonlyMap<string, number>;

/** The relay under test: a process from the sources, with a folder, a configuration and ports of its own. */
export class SoakRelay {
  readonly child: ChildProcess;
  /** Exit code and signal, once it has ended. */
  readonly ended: Promise<unknown[]>;
  /** Scrapes so far; each has a connection of its own. */
  scrapes = 0;
  /** Set to `host:port` parts of the banner by {@link started}. */
  port = 0;
  stunPort = 0;
  adminPort = 0;
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'towpath-soak-'));
  #output = '';

  constructor(runtime: RuntimeName) {
    const file = path.join(this.#folder, 'towpath.yaml');
    writeFileSync(file, CONFIGURATION);
    const program = runtime === 'node' ? process.execPath : findRuntime(runtime);
    this.child = spawn(program, [MAIN, 'serve', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.#folder,
      // Ctrl-C on a terminal goes to the whole process group, but the relay must run until its counters are read.
      detached: true,
    });
    this.ended = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARACTERS);
      });
    }
    // The relay must not stay when this process ends for any reason.
    process.once('exit', () => this.child.kill('SIGKILL'));
  }

  /** Its output since it listens, or the end of it. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it listens. */
  async started(): Promise<void> {
    const ready = new Promise<void>((resolve, reject) => {
      this.child.stdout?.on('data', () => {
        if (this.#output.includes('public key')) resolve();
      });
      void this.ended.then(() => reject(new Error(`the relay ended at the start:\n${this.#output}`)));
    });
    await within(ready, 'the start of the relay', START_MS);
    this.port = this.#portOf('DERP');
    this.stunPort = this.#portOf('STUN');
    this.adminPort = this.#portOf('admin');
    this.#output = '';
  }

  /** Reads `/metrics` over a connection of its own. */
  async scrape(): Promise<Metrics> {
    this.scrapes++;
    const text = await within(readAll(this.adminPort), 'an answer of /metrics', SCRAPE_MS);
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
  }

  rssBytes(): number {
    return Number(/VmRSS:\s+(\d+) kB/.exec(this.#proc('status'))![1]) * 1024;
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid!}/fd`).length;
  }

  /** Returns the CPU time, user and system. */
  cpuSeconds(): number {
    const fields = this.#proc('stat')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** Sends SIGTERM; resolves with exit code and signal. */
  async end(): Promise<unknown[]> {
    this.child.kill('SIGTERM');
    return within(this.ended, 'the end of the relay', END_MS);
  }

  async clean(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #portOf(name: string): number {
    return Number(new RegExp(`^  ${name} .*?:(\\d+)`, 'm').exec(this.#output)![1]);
  }

  #proc(file: string): string {
    return readFileSync(`/proc/${this.child.pid!}/${file}`, 'utf8');
  }
}

function readAll(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve(text)).on('error', reject);
    }).on('error', reject);
  });
}
