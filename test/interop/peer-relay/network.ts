import { execFileSync } from 'node:child_process';

/** Address of the control server and of the relay, from both client namespaces. */
export const HUB_IP = '10.79.0.1';

export type Place = 'hub' | 'a' | 'b';

/**
 * Three network namespaces: a hub with the control server and the relay, and one for each client. The hub forwards nothing
 * and nftables drops what the clients send to each other, so that they have no direct path. No IPv6.
 */
export class Network {
  readonly #prefix = `tp${process.pid}`;

  /** Needs root. */
  constructor() {
    for (const place of ['hub', 'a', 'b'] as const) {
      ip('netns', 'add', this.namespace(place));
      this.run(place, 'ip', 'link', 'set', 'lo', 'up');
      this.run(place, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    }
    this.run('hub', 'ip', 'address', 'add', `${HUB_IP}/32`, 'dev', 'lo');
    this.run('hub', 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
    for (const [place, net] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      const link = `${this.#prefix}${place}`;
      ip(
        'link',
        'add',
        link,
        'netns',
        this.namespace('hub'),
        'type',
        'veth',
        'peer',
        'eth0',
        'netns',
        this.namespace(place),
      );
      this.run('hub', 'ip', 'address', 'add', `10.79.${net}.1/24`, 'dev', link);
      this.run('hub', 'ip', 'link', 'set', link, 'up');
      this.run(place, 'ip', 'address', 'add', `10.79.${net}.2/24`, 'dev', 'eth0');
      this.run(place, 'ip', 'link', 'set', 'eth0', 'up');
      this.run(place, 'ip', 'route', 'add', 'default', 'via', `10.79.${net}.1`);
      const other = place === 'a' ? 2 : 1;
      this.filter(place, 'direct', `ip daddr 10.79.${other}.0/24 drop`);
    }
  }

  /** Gives the hub another address, which the clients reach like {@link HUB_IP}. */
  addHubAddress(address: string): void {
    this.run('hub', 'ip', 'address', 'add', `${address}/32`, 'dev', 'lo');
  }

  namespace(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  /** Returns the command line that runs `argv` in the namespace. */
  inside(place: Place, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespace(place), ...argv];
  }

  run(place: Place, ...argv: string[]): string {
    const [program, ...rest] = this.inside(place, argv) as [string, ...string[]];
    return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
  }

  /** Adds a rule for outgoing packets of a client. */
  filter(place: Place, table: string, rule: string): void {
    this.run(place, 'nft', `add table ip ${table}`);
    this.run(place, 'nft', `add chain ip ${table} out { type filter hook output priority 0; }`);
    this.run(place, 'nft', `add rule ip ${table} out ${rule}`);
  }

  unfilter(place: Place, table: string): void {
    this.run(place, 'nft', `delete table ip ${table}`);
  }

  remove(): void {
    for (const place of ['hub', 'a', 'b'] as const) ip('netns', 'delete', this.namespace(place));
  }
}

function ip(...argv: string[]): void {
  execFileSync('ip', argv, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 30_000 });
}
