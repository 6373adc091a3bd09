import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { CONTROL_URL, REGION } from '../../test/interop/peer-relay/headscale.ts';
import { HUB_IP, type Network } from '../../test/interop/peer-relay/network.ts';
import { Program, until } from '../../test/interop/peer-relay/program.ts';

/** A relay that is replaced by its next version while clients are connected. */
export interface UpgradedRelay {
  start(): Promise<void>;
  /** Replaces it; resolves when only the next version runs. */
  upgrade(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * The compared relays: derper restarted, towpath restarted, towpath whose sockets stay open (socket activation), and towpath whose
 * next process takes over the sockets (SIGUSR2), as the package does.
 */
export const UPGRADES = ['derper', 'towpath', 'towpath-sockets', 'towpath-next'] as const;
/** The second and the fourth of them with a peer relay, through which the messages go. */
export const PEER_RELAY_UPGRADES = ['peer-relay', 'peer-relay-next'] as const;
export type UpgradeName = (typeof UPGRADES | typeof PEER_RELAY_UPGRADES)[number];

export function hasPeerRelay(name: UpgradeName): boolean {
  return PEER_RELAY_UPGRADES.some((other) => other === name);
}

interface Parts {
  readonly network: Network;
  readonly folder: string;
  /** The program of derper. */
  readonly derper: string;
  /** Where the auth key of the node of a peer relay will be. */
  readonly authKeyFile: string;
  /** Set for one of several relays of a region; absent for a single relay. */
  readonly member?: RegionMember;
}

/** One relay of a region. */
interface RegionMember {
  readonly ip: string;
  /** The addresses of the others. */
  readonly others: readonly string[];
  /** Folder with the output of deploy/region/make-certificates.sh: mesh key, authority and certificates. */
  readonly secrets: string;
}

/** The executable of the packages. */
const TOWPATH = path.resolve(import.meta.dirname, '../../build/towpath');
const HOLDER = path.join(import.meta.dirname, 'socket-holder.ts');
const STUN_PORT = 3478;
const DERP_PORT = 443;
const ADMIN_PORT = 9090;

export function makeRelay(name: UpgradeName, parts: Parts): UpgradedRelay {
  const { network, member } = parts;
  const ip = member?.ip ?? HUB_IP;
  if (name === 'derper') {
    const environment = member === undefined ? {} : { SSL_CERT_FILE: path.join(member.secrets, 'authority.pem') };
    return new RestartedRelay(network, ip, derperCommand(parts, ip), environment);
  }
  const isHeld = name !== 'towpath' && name !== 'peer-relay';
  const command = towpathCommand(parts, ip, isHeld, hasPeerRelay(name));
  if (!isHeld) return new RestartedRelay(network, ip, command);
  return new HeldRelay(network, ip, command, name === 'towpath-sockets' ? 'restart' : 'next');
}

/** Upgrades like a plain `systemctl restart`: the old process ends, then the next one starts. */
class RestartedRelay implements UpgradedRelay {
  readonly #network: Network;
  readonly #ip: string;
  readonly #command: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  #program: Program | null = null;

  constructor(
    network: Network,
    ip: string,
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.#network = network;
    this.#ip = ip;
    this.#command = command;
    this.#environment = environment;
  }

  async start(): Promise<void> {
    this.#program = new Program(this.#network.inside('hub', this.#command), this.#environment);
    await untilServing(this.#network, this.#ip, () => this.#program?.output ?? '');
  }

  async upgrade(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#program?.stop();
  }
}

/**
 * Upgrades with socket units. `restart`: clients that connect between the two processes wait in the sockets. `next`: the next
 * process starts before the old one ends.
 */
class HeldRelay implements UpgradedRelay {
  readonly #network: Network;
  readonly #ip: string;
  readonly #command: readonly string[];
  readonly #way: 'restart' | 'next';
  #holder: ChildProcess | null = null;
  #output = '';

  constructor(network: Network, ip: string, command: readonly string[], way: 'restart' | 'next') {
    this.#network = network;
    this.#ip = ip;
    this.#command = command;
    this.#way = way;
  }

  async start(): Promise<void> {
    const argv = [process.execPath, HOLDER, this.#ip, String(DERP_PORT), String(STUN_PORT), ...this.#command];
    const [program, ...rest] = this.#network.inside('hub', argv) as [string, ...string[]];
    this.#holder = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#holder.stdout, this.#holder.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    await this.#ready('start');
  }

  async upgrade(): Promise<void> {
    if (this.#way === 'next') return this.#ready('next');
    this.#holder?.stdin?.write('stop\n');
    await until('the old relay has ended', () => this.#output.includes('ended '));
    await this.#ready('start');
  }

  stop(): Promise<void> {
    this.#holder?.kill();
    this.#holder?.stdin?.end();
    return Promise.resolve();
  }

  /** Gives the holder a command, and waits until the next process is ready. */
  async #ready(command: 'start' | 'next'): Promise<void> {
    const ready = (): number => this.#output.split('"msg":"ready"').length;
    const before = ready();
    this.#holder?.stdin?.write(`${command}\n`);
    await until(
      () => `the relay is ready:\n${this.#output}`,
      () => ready() > before,
    );
  }
}

async function untilServing(network: Network, ip: string, output: () => string): Promise<void> {
  await until(
    () => `the relay answers:\n${output()}`,
    () => network.run('hub', 'curl', '-skf', `https://${ip}/derp/probe`) === '',
  );
}

function derperCommand({ folder, derper, member }: Parts, ip: string): string[] {
  const mesh =
    member === undefined
      ? []
      : ['-mesh-psk-file', path.join(member.secrets, 'mesh.key'), '-mesh-with', member.others.join(',')];
  return [
    ...[derper, '-a', `${ip}:${DERP_PORT}`, '-certmode', 'manual', '-hostname', ip],
    ...['-certdir', member?.secrets ?? folder, '-c', path.join(folder, `derper-${ip}.key`)],
    ...['-http-port', '-1', '-stun-port', String(STUN_PORT), ...mesh],
  ];
}

function towpathCommand(
  { folder, member, authKeyFile }: Parts,
  ip: string,
  isHeld: boolean,
  isPeerRelay: boolean,
): string[] {
  const config = path.join(folder, `towpath-${ip}.yaml`);
  const ports = isHeld ? {} : { listen: `${ip}:${DERP_PORT}`, stun: `${ip}:${STUN_PORT}` };
  const certificate =
    member === undefined
      ? { directory: 'certs', names: [ip] }
      : { mode: 'file', file: path.join(member.secrets, `${ip}.crt`), keyFile: path.join(member.secrets, `${ip}.key`) };
  const mesh =
    member === undefined
      ? {}
      : {
          keyFile: path.join(member.secrets, 'mesh.key'),
          with: member.others,
          caFile: path.join(member.secrets, 'authority.pem'),
        };
  const peerRelay = {
    ports: [STUN_PORT],
    advertise: { addresses: [ip], only: true },
    stateDirectory: path.join(folder, 'peer-relay'),
    tailnets: [{ name: 'home', controlUrl: CONTROL_URL, authKeyFile, hostname: 'relay' }],
  };
  // Each relay needs a port of its own: they share the loopback of the hub.
  const admin = `127.0.0.1:${ADMIN_PORT + Number(ip.split('.').at(-1))}`;
  writeFileSync(
    config,
    stringify({
      ...{ ...ports, http: 'off', keyFile: `relay-${ip}.key`, region: { id: REGION }, admission: { open: true } },
      ...{ admin, certificate, mesh, ...(isPeerRelay ? { peerRelay } : {}) },
    }),
  );
  return [TOWPATH, 'serve', '--config', config];
}
