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

/** The parts of the relay that run, and their runtime. */
interface TowpathOptions {
  /** The runtime; by default that of the tests. */
  readonly runtime?: string;
  /** The program; by default the sources. */
  readonly main?: string;
  /** Only DERP and STUN, without the peer relay. */
  readonly isDerpOnly?: boolean;
  /** `peerRelay.limits`. */
  readonly limits?: object;
}

/** `towpath serve` in the hub: DERP, STUN and the peer relay. */
export class Towpath {
  program: Program | null = null;
  readonly #network: Network;
  readonly #config: string;
  readonly #program: readonly [string, string];

  constructor(network: Network, folder: string, authKey: string, options: TowpathOptions = {}) {
    const { runtime = RELAY_PROGRAM, main = MAIN, isDerpOnly = false, limits = {} } = options;
    this.#network = network;
    this.#program = [runtime, main];
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
        ...(isDerpOnly
          ? {}
          : {
              peerRelay: {
                ports: PORTS,
                advertise: { addresses: [HUB_IP], only: true },
                stateDirectory: path.join(folder, 'peer-relay'),
                tailnets: [{ name: 'home', controlUrl: CONTROL_URL, authKeyFile, hostname: 'relay' }],
                limits,
              },
            }),
      }),
    );
  }

  /** Starts it; resolves when it is ready, with the time in milliseconds. */
  start(): Promise<number> {
    this.launch();
    return until('towpath is ready', () => this.admin('/readyz').startsWith('ready'));
  }

  /** Starts it without waiting. */
  launch(): void {
    const argv = [...this.#program, 'serve', '--config', this.#config];
    this.program = new Program(this.#network.inside('hub', argv));
  }

  async stop(): Promise<void> {
    await this.program?.stop();
    this.program = null;
  }

  /** Returns the text of a page of the admin listener, or an empty text. */
  admin(page: string): string {
    return this.#network.run('hub', 'curl', '-s', `http://${ADMIN}${page}`);
  }

  /** Runs a command with the same configuration. */
  run(...argv: string[]): string {
    return this.#network.run('hub', ...this.#program, ...argv, '--config', this.#config);
  }
}
