import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { HUB_IP, type Network } from './network.ts';
import { Program, until } from './program.ts';

const PORT = 8080;
export const CONTROL_URL: string = `http://${HUB_IP}:${PORT}`;
export const REGION = 900;

/** The steps of docs/peer-relay.md: a tag for the relay, and a grant for all nodes. */
const POLICY = {
  tagOwners: { 'tag:relay': ['u@'] },
  grants: [
    { src: ['*'], dst: ['*'], ip: ['*'] },
    { src: ['*'], dst: ['tag:relay'], app: { 'tailscale.com/cap/relay': [] } },
  ],
};

/** A Headscale in the hub whose DERP map has one region: our relays. */
export class Headscale {
  readonly program: Program;
  readonly #binary: string;
  readonly #config: string;
  readonly #network: Network;

  private constructor(network: Network, binary: string, config: string) {
    this.#network = network;
    this.#binary = binary;
    this.#config = config;
    this.program = new Program(network.inside('hub', [binary, '-c', config, 'serve']));
  }

  /** `relays` are the addresses of the relays of the region, in the order in which clients try them. */
  static async start(
    network: Network,
    binary: string,
    folder: string,
    relays: readonly string[] = [HUB_IP],
  ): Promise<Headscale> {
    const file = (name: string, content: object): string => {
      const at = path.join(folder, name);
      writeFileSync(at, name.endsWith('.json') ? JSON.stringify(content) : stringify(content));
      return at;
    };
    const nodes = relays.map((ip, index) => ({
      name: `900${'abcdef'[index]!}`,
      regionid: REGION,
      hostname: ip,
      ipv4: ip,
      ipv6: 'none',
      derpport: 443,
      stunport: 3478,
      stuntestip: ip,
      // Both are ours, and there is no certificate before the relay makes it.
      insecurefortests: true,
    }));
    const region = { regionid: REGION, regioncode: 'own', regionname: 'Own relay', nodes };
    const config = file('headscale.yaml', {
      server_url: CONTROL_URL,
      listen_addr: `${HUB_IP}:${PORT}`,
      metrics_listen_addr: '127.0.0.1:8081',
      grpc_listen_addr: '127.0.0.1:8082',
      noise: { private_key_path: path.join(folder, 'noise.key') },
      prefixes: { v4: '100.64.0.0/10', v6: 'fd7a:115c:a1e0::/48' },
      derp: {
        server: { enabled: false },
        urls: [],
        paths: [file('derp.yaml', { regions: new Map([[REGION, region]]) })],
        auto_update_enabled: false,
      },
      database: { type: 'sqlite', sqlite: { path: path.join(folder, 'db.sqlite') } },
      dns: { magic_dns: false, base_domain: 'hs.internal', override_local_dns: false, nameservers: { global: [] } },
      unix_socket: path.join(folder, 'hs.sock'),
      policy: { mode: 'file', path: file('policy.json', POLICY) },
      disable_check_updates: true,
      logtail: { enabled: false },
    });
    const headscale = new Headscale(network, binary, config);
    await until(
      () => `Headscale answers:\n${headscale.program.output}`,
      () => network.run('hub', 'curl', '-sf', `${CONTROL_URL}/health`) !== '',
    );
    headscale.run('users', 'create', 'u');
    return headscale;
  }

  /** Runs its command line. */
  run(...argv: string[]): string {
    return this.#network.run('hub', this.#binary, '-c', this.#config, ...argv).trim();
  }

  clientKey(): string {
    return lastLine(this.run('preauthkeys', 'create', '-u', '1', '--reusable'));
  }

  relayKey(): string {
    return lastLine(this.run('preauthkeys', 'create', '--tags', 'tag:relay'));
  }
}

function lastLine(text: string): string {
  return text.slice(text.lastIndexOf('\n') + 1);
}
