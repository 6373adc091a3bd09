import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { RELAY_PROGRAM } from '../relay-program.ts';
import { CONTROL_URL, REGION } from './headscale.ts';
import { HUB_IP, type Network } from './network.ts';
import { Program, until } from './program.ts';

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts');
const ADMIN = '127.0.0.1:9090';
export const PORTS: readonly number[] = [3478, 443, 40_000];

/** `towpath serve` in the hub: DERP, STUN and the peer relay. */
export class Towpath {
  program: Program | null = null;
  readonly #network: Network;
  readonly #config: string;

  constructor(network: Network, folder: string, authKey: string) {
    this.#network = network;
    this.#config = path.join(folder, 'towpath.yaml');
    const authKeyFile = path.join(folder, 'auth-key');
    writeFileSync(authKeyFile, authKey, { mode: 0o600 });
    writeFileSync(
      this.#config,
      stringify({
        listen: `${HUB_IP}:443`,
        http: 'off',
        admin: ADMIN,
        stun: `${HUB_IP}:3478`,
        keyFile: 'derper.key',
        admission: { open: true },
        certificate: { directory: 'certs', names: [HUB_IP] },
        region: { id: REGION },
        peerRelay: {
          ports: PORTS,
          advertise: { addresses: [HUB_IP], only: true },
          stateDirectory: path.join(folder, 'peer-relay'),
          tailnets: [{ name: 'home', controlUrl: CONTROL_URL, authKeyFile, hostname: 'relay' }],
        },
      }),
    );
  }

  /** Resolves when it is ready, with the milliseconds that took. */
  async start(): Promise<number> {
    const argv = [RELAY_PROGRAM, MAIN, 'serve', '--config', this.#config];
    this.program = new Program(this.#network.inside('hub', argv));
    return until('towpath is ready', () => this.admin('/readyz').startsWith('ready'));
  }

  async stop(): Promise<void> {
    await this.program?.stop();
    this.program = null;
  }

  /** The text of a page of the administration, or an empty one. */
  admin(page: string): string {
    return this.#network.run('hub', 'curl', '-s', `http://${ADMIN}${page}`);
  }

  /** Runs a command with the same configuration. */
  run(...argv: string[]): string {
    return this.#network.run('hub', RELAY_PROGRAM, MAIN, ...argv, '--config', this.#config);
  }
}
