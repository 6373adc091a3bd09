import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { findRuntime } from '../../src/cli/runtime.ts';
import { REGION } from '../../test/interop/peer-relay/headscale.ts';
import { HUB_IP, type Network } from '../../test/interop/peer-relay/network.ts';
import { Program, until } from '../../test/interop/peer-relay/program.ts';

/** A DERP relay that is replaced by its next version while clients use it. */
export interface UpgradedRelay {
  start(): Promise<void>;
  /** Replaces it; resolves when only the next version runs. */
  upgrade(): Promise<void>;
  stop(): Promise<void>;
}

/** What is compared: derper restarted, towpath restarted, and towpath whose sockets stay open (socket activation). */
export const UPGRADES = ['derper', 'towpath', 'towpath-sockets'] as const;
export type UpgradeName = (typeof UPGRADES)[number];

interface Parts {
  readonly network: Network;
  readonly folder: string;
  /** The program of derper. */
  readonly derper: string;
}

const MAIN = path.resolve(import.meta.dirname, '../../dist/main.js');
const HOLDER = path.join(import.meta.dirname, 'socket-holder.ts');
const STUN_PORT = 3478;
const DERP_PORT = 443;
const ADMIN = '127.0.0.1:9090';

export function makeRelay(name: UpgradeName, parts: Parts): UpgradedRelay {
  if (name === 'derper') return new RestartedRelay(parts.network, derperCommand(parts));
  const command = towpathCommand(parts, name === 'towpath-sockets');
  return name === 'towpath' ? new RestartedRelay(parts.network, command) : new HeldRelay(parts.network, command);
}

/** The way of a plain `systemctl restart`: the old process ends, then the next starts. */
class RestartedRelay implements UpgradedRelay {
  readonly #network: Network;
  readonly #command: readonly string[];
  #program: Program | null = null;

  constructor(network: Network, command: readonly string[]) {
    this.#network = network;
    this.#command = command;
  }

  async start(): Promise<void> {
    this.#program = new Program(this.#network.inside('hub', this.#command));
    await untilServing(this.#network, () => this.#program?.output ?? '');
  }

  async upgrade(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#program?.stop();
  }
}

/** The way of `systemctl restart` with socket units: clients that connect between the two processes wait in the sockets. */
class HeldRelay implements UpgradedRelay {
  readonly #network: Network;
  readonly #command: readonly string[];
  #holder: ChildProcess | null = null;
  #output = '';

  constructor(network: Network, command: readonly string[]) {
    this.#network = network;
    this.#command = command;
  }

  async start(): Promise<void> {
    const argv = [process.execPath, HOLDER, HUB_IP, String(DERP_PORT), String(STUN_PORT), ...this.#command];
    const [program, ...rest] = this.#network.inside('hub', argv) as [string, ...string[]];
    this.#holder = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#holder.stdout, this.#holder.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    await this.#next();
  }

  async upgrade(): Promise<void> {
    this.#holder?.stdin?.write('stop\n');
    await until('the old relay has ended', () => this.#output.includes('ended '));
    await this.#next();
  }

  stop(): Promise<void> {
    this.#holder?.kill();
    this.#holder?.stdin?.end();
    return Promise.resolve();
  }

  async #next(): Promise<void> {
    const ready = (): number => this.#output.split('"msg":"ready"').length;
    const before = ready();
    this.#holder?.stdin?.write('start\n');
    await until(
      () => `the relay is ready:\n${this.#output}`,
      () => ready() > before,
    );
  }
}

async function untilServing(network: Network, output: () => string): Promise<void> {
  await until(
    () => `the relay answers:\n${output()}`,
    () => network.run('hub', 'curl', '-skf', `https://${HUB_IP}/derp/probe`) === '',
  );
}

function derperCommand({ folder, derper }: Parts): string[] {
  return [
    ...[derper, '-a', `${HUB_IP}:${DERP_PORT}`, '-certmode', 'manual', '-hostname', HUB_IP, '-certdir', folder],
    ...['-c', path.join(folder, 'derper.key'), '-http-port', '-1', '-stun-port', String(STUN_PORT)],
  ];
}

function towpathCommand({ folder }: Parts, isHeld: boolean): string[] {
  const config = path.join(folder, 'towpath.yaml');
  const ports = isHeld ? {} : { listen: `${HUB_IP}:${DERP_PORT}`, stun: `${HUB_IP}:${STUN_PORT}` };
  writeFileSync(
    config,
    stringify({
      ...{ ...ports, http: 'off', keyFile: 'relay.key', region: { id: REGION }, admission: { open: true } },
      ...{ admin: ADMIN, certificate: { directory: 'certs', names: [HUB_IP] } },
    }),
  );
  return [findRuntime('bun'), MAIN, 'serve', '--config', config];
}
