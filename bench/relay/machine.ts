import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { ServerName } from './server.ts';

/** The facts about a machine that a reader needs to judge the numbers. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly loadAverage: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Describes this machine, its runtimes, and the programs whose versions the script that started us knows. */
export function describeMachine(servers: readonly ServerName[]): Machine {
  const all = cpus();
  const { TOWPATH_BENCH_UPSTREAM: derper, TOWPATH_BENCH_CLIENTS: tailscaled } = process.env;
  return {
    date: new Date().toISOString(),
    cpu: all[0]?.model ?? 'unknown',
    cpus: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadAverage: loadavg()[0] ?? 0,
    versions: {
      towpath: output('git', 'describe', '--always', '--dirty'),
      ...(derper === undefined ? {} : { derper }),
      ...(tailscaled === undefined ? {} : { tailscaled }),
      node: process.version,
      openssl: process.versions.openssl,
      ...(servers.includes(ServerName.Bun) ? { bun: output('node_modules/.bin/bun', '--version') } : {}),
      go: output('go', 'env', 'GOVERSION'),
    },
  };
}

/** Returns a short name of this machine for file names. */
export function machineSlug({ cpus: count, cpu }: Machine): string {
  const words = cpu
    .split('@', 1)[0]!
    .replaceAll(/\((?:r|tm)\)|processor|cpu/gi, '')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '');
  return `${count}x-${words.join('-').toLowerCase()}`;
}

/** One line for the head of the table. */
export function formatMachine({ date, cpu, cpus: count, memoryGiB, kernel, loadAverage, versions }: Machine): string {
  const programs = formatVersions(versions);
  return `${date}, ${count} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, load ${loadAverage.toFixed(1)} at the start\n${programs}`;
}

/** `node v24.21.0, go go1.26.6`. */
export function formatVersions(versions: Machine['versions']): string {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function output(command: string, ...parameters: string[]): string {
  try {
    return execFileSync(command, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
