import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { CONTROL_URL } from './headscale.ts';
import type { Network, Place } from './network.ts';
import { Program } from './program.ts';

/** Options of a node: a TUN device (default: none), and more environment variables. */
interface NodeOptions {
  readonly tun?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A stock tailscaled in a namespace. */
export class TailscaleNode {
  readonly program: Program;
  readonly place: Place;
  readonly #network: Network;
  readonly #cli: string;
  readonly #socket: string;

  constructor(network: Network, place: Place, programs: string, folder: string, options: NodeOptions = {}) {
    const { tun = 'userspace-networking', environment = {} } = options;
    const state = path.join(folder, place);
    mkdirSync(state, { recursive: true });
    this.place = place;
    this.#network = network;
    this.#cli = path.join(programs, 'tailscale');
    this.#socket = path.join(state, 's');
    const argv = [
      path.join(programs, 'tailscaled'),
      `--tun=${tun}`,
      `--statedir=${state}`,
      `--state=${path.join(state, 'state')}`,
      `--socket=${this.#socket}`,
      '--port=0',
      '--no-logs-no-support',
    ];
    this.program = new Program(network.inside(place, argv), {
      TS_DISABLE_PORTMAPPER: '1',
      TS_PANIC_IF_HIT_MAIN_CONTROL: '1',
      TS_NETCHECK_GENERATE_204_URL: 'http://127.0.0.1:1/',
      ...environment,
    });
  }

  up(authKey: string, hostname: string = this.place): void {
    this.cli(
      'up',
      `--login-server=${CONTROL_URL}`,
      `--hostname=${hostname}`,
      '--accept-dns=false',
      '--netfilter-mode=off',
      `--authkey=${authKey}`,
    );
  }

  cli(...argv: string[]): string {
    return this.#network.run(this.place, this.#cli, `--socket=${this.#socket}`, ...argv).trim();
  }

  /** Returns the command line that connects to a port of another node, through the tunnel. */
  netcat(ip: string, port: number): string[] {
    return this.#network.inside(this.place, [this.#cli, `--socket=${this.#socket}`, 'nc', ip, String(port)]);
  }

  get ip(): string {
    return this.cli('ip', '-4');
  }

  /** Returns the line of `tailscale ping`, or an empty text. */
  ping(ip: string): string {
    try {
      return this.cli('ping', '-c=1', '--until-direct=false', '--timeout=2s', ip).split('\n').at(-1) ?? '';
    } catch {
      return '';
    }
  }

  /** Returns the path in use to the only other client. */
  pathTo(ip: string): string {
    const status = JSON.parse(this.cli('status', '--json')) as { Peer: Record<string, PeerStatus> };
    const peer = Object.values(status.Peer).find((candidate) => candidate.TailscaleIPs.includes(ip));
    if (peer === undefined) return '';
    return peer.PeerRelay !== undefined && peer.PeerRelay !== '' ? `peer-relay ${peer.PeerRelay}` : peer.CurAddr;
  }
}

interface PeerStatus {
  readonly TailscaleIPs: readonly string[];
  readonly CurAddr: string;
  readonly PeerRelay?: string;
}
