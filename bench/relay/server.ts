import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/free-port.ts';
import { LOOP_DELAY_MARK, type LoopDelay } from './loop-delay.ts';
import { derper, SERVER_CPU, type RelayFiles } from './programs.ts';

/**
 * The servers that can be compared. `-before` is another checkout of the relay, `-uncounted` the relay without counting
 * per packet.
 */
export const ServerName = {
  Derper: 'derper',
  Node: 'node',
  Bun: 'bun',
  NodeBefore: 'node-before',
  BunBefore: 'bun-before',
  NodeUncounted: 'node-uncounted',
  BunUncounted: 'bun-uncounted',
} as const;
export type ServerName = (typeof ServerName)[keyof typeof ServerName];

/** Returns the servers with which `name` is compared, the usual one first. */
export function basesOf(name: ServerName): readonly ServerName[] {
  switch (name) {
    case ServerName.Derper:
      return [];
    case ServerName.Node:
      return [ServerName.Derper, ServerName.NodeBefore];
    case ServerName.Bun:
      return [ServerName.Derper, ServerName.BunBefore];
    case ServerName.NodeUncounted:
      return [ServerName.Node];
    case ServerName.BunUncounted:
      return [ServerName.Bun];
    default:
      return [ServerName.Derper];
  }
}

/** Returns whether `name` is the relay of another checkout. */
export function isBefore(name: ServerName): boolean {
  return name === ServerName.NodeBefore || name === ServerName.BunBefore;
}

/** Returns the checkout of a server, if it is not this one. `before` is the value of --before. */
export function checkoutOf(name: ServerName, before: string | null): Pick<Placement, 'checkout'> {
  return isBefore(name) && before !== null ? { checkout: before } : {};
}

/** How a server is started. */
export interface Placement {
  /** TCP port for clients; a free port if absent. */
  readonly port?: number;
  /** True: on its own CPU. False: on any CPU. */
  readonly pinned: boolean;
  /** Measures how late a timer fires; towpath only. */
  readonly loopDelay: boolean;
  /** Another checkout of towpath than this one. */
  readonly checkout?: string;
  /** File for a CPU profile of Node. One SIGUSR2 starts it, a second one ends it. */
  readonly profile?: string;
  /** The other relay that it links to, as `host:port`, and the file with the mesh key. */
  readonly mesh?: { readonly keyFile: string; readonly with: string };
  /** Number of relay threads, towpath only; `adminPort` is then the port of its metrics. Without it, the default. */
  readonly threads?: number;
  readonly adminPort?: number;
  /** With the simple data path of bench/preload/naive.ts; Node only. */
  readonly naive?: boolean;
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

const START_PATIENCE_MS = 20_000;
const STOP_PATIENCE_MS = 10_000;
const LOOP_DELAY_PATIENCE_MS = 5000;
const LOOP_DELAY_LINE = new RegExp(`${LOOP_DELAY_MARK}(.*)\\n`);
const REPOSITORY = join(import.meta.dirname, '..', '..');
const KEPT_OUTPUT_CHARS = 4000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A relay process under test. */
export class Server {
  readonly name: ServerName;
  readonly port: number;
  readonly stunPort: number;
  readonly #child: ChildProcess;
  readonly #measuresLoop: boolean;
  #output = '';

  private constructor(name: ServerName, ports: Ports, child: ChildProcess, measuresLoop: boolean) {
    this.name = name;
    this.port = ports.derp;
    this.stunPort = ports.stun;
    this.#child = child;
    this.#measuresLoop = measuresLoop;
    child.stdout?.on('data', (chunk: Buffer) => this.#keep(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.#keep(chunk));
  }

  /** Starts a server on free ports and waits until it accepts connections. */
  static async start(name: ServerName, files: RelayFiles, where: Placement): Promise<Server> {
    const ports = { derp: where.port ?? (await freePort()), stun: await freePort() };
    // taskset replaces itself by the command, so that the process id is the server's.
    const placement = where.pinned ? ['taskset', '-c', String(SERVER_CPU)] : [];
    const command = [...placement, ...commandOf(name, files, ports, where)];
    const child = spawn(command[0]!, command.slice(1), {
      ...{ stdio: ['ignore', 'pipe', 'pipe'], cwd: where.checkout ?? REPOSITORY },
      env: {
        ...{ ...process.env, BENCH_PROFILE: where.profile },
        // derper has no other way to trust the certificate of another relay.
        ...(where.mesh === undefined ? {} : { SSL_CERT_FILE: files.certificate }),
        ...where.env,
      },
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const server = new Server(name, ports, child, where.loopDelay && name !== ServerName.Derper);
    await server.#accepts(ports.derp);
    if (where.adminPort !== undefined && name !== ServerName.Derper) await server.#accepts(where.adminPort);
    return server;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Returns how late its timers fired since its start or the last call; null if this is not measured. */
  async loopDelay(): Promise<LoopDelay | null> {
    if (!this.#measuresLoop) return null;
    this.#child.kill('SIGUSR2');
    const deadline = performance.now() + LOOP_DELAY_PATIENCE_MS;
    while (performance.now() < deadline) {
      const line = LOOP_DELAY_LINE.exec(this.#output);
      if (line !== null) {
        this.#output = this.#output.replace(line[0], '');
        return JSON.parse(line[1]!) as LoopDelay;
      }
      await sleep(20);
    }
    throw new Error(`${this.name} does not say its loop delay:\n${this.#output}`);
  }

  /** Stops it; throws when it had already ended, which is a crash. */
  async stop(): Promise<void> {
    if (this.#ended) throw new Error(`${this.name} ended unexpectedly, ${this.#how()}:\n${this.#output}`);
    const exit = once(this.#child, 'exit');
    // On SIGTERM, derper and towpath would wait for their clients.
    this.#child.kill('SIGKILL');
    await Promise.race([exit, sleep(STOP_PATIENCE_MS, undefined, { ref: false })]);
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #how(): string {
    return this.#child.signalCode === null ? `exit code ${this.#child.exitCode}` : this.#child.signalCode;
  }

  #keep(chunk: Buffer): void {
    this.#output = (this.#output + chunk.toString()).slice(-KEPT_OUTPUT_CHARS);
  }

  async #accepts(port: number): Promise<void> {
    const deadline = performance.now() + START_PATIENCE_MS;
    while (!(await canConnect(port))) {
      if (this.#ended) throw new Error(`${this.name} does not start, ${this.#how()}:\n${this.#output}`);
      if (performance.now() > deadline) throw new Error(`${this.name} does not accept connections:\n${this.#output}`);
      await sleep(20);
    }
  }
}

interface Ports {
  readonly derp: number;
  readonly stun: number;
}

function commandOf(name: ServerName, files: RelayFiles, ports: Ports, where: Placement): string[] {
  if (name === ServerName.Derper) {
    return [
      ...[derper(), '-a', `127.0.0.1:${ports.derp}`, '-certmode', 'manual', '-hostname', '127.0.0.1'],
      ...['-certdir', files.dir, '-c', files.relayKey, '-http-port', '-1', '-stun-port', String(ports.stun)],
      ...(where.mesh === undefined ? [] : ['-mesh-psk-file', where.mesh.keyFile, '-mesh-with', where.mesh.with]),
    ];
  }
  const isBun = name.startsWith(ServerName.Bun);
  const isUncounted = name === ServerName.NodeUncounted || name === ServerName.BunUncounted;
  const runtime = join(REPOSITORY, 'node_modules', '.bin', isBun ? 'bun' : 'node');
  const preloaded = [
    ...(where.naive === true ? ['naive.ts'] : []),
    ...(isUncounted ? ['without-counters.ts'] : []),
    ...(where.loopDelay ? ['loop-delay.ts'] : []),
    ...(where.profile === undefined ? [] : ['profile.ts']),
  ];
  const preload = preloaded.flatMap((file) => [
    isBun ? '--preload' : '--import',
    join(REPOSITORY, 'bench', 'preload', file),
  ]);
  const serve = ['--listen', `127.0.0.1:${ports.derp}`, '--http', 'off', '--stun', `127.0.0.1:${ports.stun}`];
  const admin = where.adminPort === undefined ? 'off' : `127.0.0.1:${where.adminPort}`;
  const rest = ['--key-file', files.relayKey, '--admin', admin, '--log-level', 'warn', '--no-self-test'];
  const threads = where.threads === undefined ? [] : ['--threads', String(where.threads)];
  const certificate = ['--certificate-file', files.certificate, '--certificate-key-file', files.certificateKey];
  const mesh =
    where.mesh === undefined
      ? []
      : ['--mesh-key-file', where.mesh.keyFile, '--mesh-with', `${where.mesh.with}#${files.pin}`];
  return [
    runtime,
    ...preload,
    join(where.checkout ?? REPOSITORY, 'src', 'main.ts'),
    'serve',
    ...serve,
    ...certificate,
    ...rest,
    ...threads,
    ...mesh,
  ];
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
