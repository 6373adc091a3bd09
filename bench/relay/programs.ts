import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The CPU of the relay, and that of the load generator. */
export const SERVER_CPU = 0;
export const GENERATOR_CPU = 1;
const PROGRAM_PATIENCE_MS = 400_000;

/** Certificate, its key and the relay's key, as derper and towpath read them. */
export interface RelayFiles {
  readonly dir: string;
  readonly certificate: string;
  readonly certificateKey: string;
  readonly relayKey: string;
  /** `sha256-raw:…` of the certificate. */
  readonly pin: string;
}

interface LoadCounts {
  readonly sent: number;
  readonly delivered: number;
  readonly lost: number;
  readonly skipped: number;
}

/** One measured window of `benchload load`. */
export interface LoadWindow extends LoadCounts {
  readonly seconds: number;
  readonly serverSeconds: number;
  readonly serverShare: number;
  readonly generatorShare: number;
  readonly foreignShare: number;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
}

/** What `benchload load` prints. */
export interface LoadResult {
  readonly windows: readonly LoadWindow[] | null;
  readonly total: LoadCounts;
  /** Packets of the client that sends to a key outside of the pairs. */
  readonly stream?: { readonly sent: number; readonly skipped: number };
  readonly stalls: number;
  readonly missed: number;
  readonly lagP99Us: number | null;
  readonly pongP50Us: number | null;
  readonly pongP99Us: number | null;
  readonly rssAtStart: number;
  readonly rssPeak: number;
  readonly generatorLimited: boolean;
}

/** What `benchload idle` prints. */
export interface IdleResult {
  /** CPU of the relay while the connections were idle, as part of one CPU, and that of other programs. */
  readonly serverShare: number;
  readonly foreignShare: number;
  readonly bytesPerConnection: number;
  readonly rssBefore: number;
  readonly rssAfter: number;
}

/** What `benchload handshake` prints. */
export interface HandshakeResult {
  readonly serverMsPerHandshake: number;
  readonly perSecond: number;
  readonly foreignShare: number;
}

/** One measured window of `benchload stun`. */
export interface StunWindow {
  readonly seconds: number;
  readonly answers: number;
  readonly serverSeconds: number;
  readonly serverShare: number;
  readonly foreignShare: number;
}

/** What `benchload stun` prints. */
export interface StunResult {
  readonly windows: readonly StunWindow[];
  readonly sent: number;
  readonly answers: number;
  readonly lost: number;
  readonly generatorLimited: boolean;
}

/** What `benchtailscale` prints. */
export interface TailscaleResult {
  readonly transfers: readonly {
    readonly direction: string;
    readonly megabytes: number;
    readonly seconds: number;
    readonly serverSeconds: number;
  }[];
}

/** The path of a program that run.sh has built. */
function program(name: string): string {
  const programs = process.env['TOWPATH_BENCH_PROGRAMS'];
  if (programs === undefined)
    throw new Error('TOWPATH_BENCH_PROGRAMS is not set: start bench/run.sh, which builds what is needed');
  return join(programs, name);
}

/** Returns the path of the derper that other relays are compared with. */
export function derper(): string {
  return process.env['TOWPATH_BENCH_DERPER'] ?? program('derper');
}

/** Makes the files that all servers use. */
export async function makeFiles(dir: string): Promise<RelayFiles> {
  const { stdout } = await run(program('benchload'), ['files', '-dir', dir]);
  return { dir, ...(JSON.parse(stdout) as Omit<RelayFiles, 'dir'>) };
}

/** Runs the load generator on its CPU and returns its output. Rejects with its error message. */
export async function runGenerator<T>(...parameters: string[]): Promise<T> {
  const command = ['taskset', '-c', String(GENERATOR_CPU), program('benchload'), ...parameters];
  return runJson<T>(command);
}

/** The same, on any CPU: for relays that use all of them. */
export async function runFreeGenerator<T>(...parameters: string[]): Promise<T> {
  return runJson<T>([program('benchload'), ...parameters]);
}

/** Runs two tailscaled through a relay. */
export async function runTailscale(...parameters: string[]): Promise<TailscaleResult> {
  return runJson<TailscaleResult>([program('benchtailscale'), ...parameters]);
}

async function runJson<T>(command: readonly string[]): Promise<T> {
  try {
    const { stdout } = await run(command[0]!, command.slice(1), { timeout: PROGRAM_PATIENCE_MS, maxBuffer: 16 << 20 });
    return JSON.parse(stdout) as T;
  } catch (error) {
    const complaint = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    if (complaint === '') throw error;
    throw new Error(complaint, { cause: error });
  }
}
