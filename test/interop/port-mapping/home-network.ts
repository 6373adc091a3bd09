import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Program } from '../peer-relay/program.ts';

/** Outside address of the router; miniupnpd treats it as public. */
export const ROUTER_IP = '20.0.0.7';
export const OUTSIDE_IP = '20.0.0.1';
export const HOME_IP = '10.80.1.2';
const ROUTER_LAN_IP = '10.80.1.1';

type Place = 'home' | 'router' | 'outside';

/** A machine at home, its router that translates addresses, and a machine outside, each in a network namespace. */
export class HomeNetwork {
  readonly #prefix = `pm${process.pid}`;
  readonly #folder: string;

  /** Needs root. */
  constructor(folder: string) {
    this.#folder = folder;
    for (const place of ['home', 'router', 'outside'] as const) {
      ip('netns', 'add', this.#namespace(place));
      this.run(place, 'ip', 'link', 'set', 'lo', 'up');
      this.run(place, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    }
    this.#link('home', HOME_IP, 'lan0', ROUTER_LAN_IP);
    this.#link('outside', OUTSIDE_IP, 'wan0', ROUTER_IP);
    this.run('home', 'ip', 'route', 'add', 'default', 'via', ROUTER_LAN_IP);
    this.run('router', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    this.#filterRouter();
  }

  /** miniupnpd on the router. */
  startDaemon(speaks: { readonly pcp: boolean; readonly upnp: boolean }): Program {
    const file = path.join(this.#folder, 'miniupnpd.conf');
    const yes = (value: boolean): string => (value ? 'yes' : 'no');
    writeFileSync(
      file,
      [
        'ext_ifname=wan0',
        'listening_ip=lan0',
        'port=0',
        `enable_natpmp=${yes(speaks.pcp)}`,
        `enable_upnp=${yes(speaks.upnp)}`,
        'secure_mode=yes',
        'min_lifetime=120',
        'max_lifetime=86400',
        'upnp_table_name=miniupnpd',
        'upnp_nat_table_name=miniupnpd',
        'upnp_forward_chain=miniupnpd',
        'upnp_nat_chain=prerouting_miniupnpd',
        'upnp_nat_postrouting_chain=postrouting_miniupnpd',
        'uuid=00000000-0000-0000-0000-000000000001',
        'allow 1-65535 10.80.1.0/24 1-65535',
        'deny 0-65535 0.0.0.0/0 0-65535',
        '',
      ].join('\n'),
    );
    return new Program(this.inside('router', ['miniupnpd', '-d', '-f', file, '-P', path.join(this.#folder, 'pid')]));
  }

  /** Drops PCP on its way to the router, so that only NAT-PMP is left of the two. */
  dropPcp(): void {
    this.run('router', 'nft', 'add table ip old');
    this.run('router', 'nft', 'add chain ip old in { type filter hook input priority 0; }');
    this.run('router', 'nft', 'add rule ip old in udp dport 5351 @th,64,8 2 drop');
  }

  /** Removes all forwardings. */
  forget(): void {
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd'])
      this.run('router', 'nft', `flush chain inet miniupnpd ${chain}`);
  }

  inside(place: Place, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#namespace(place), ...argv];
  }

  run(place: Place, ...argv: string[]): string {
    const [program, ...rest] = this.inside(place, argv) as [string, ...string[]];
    return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
  }

  remove(): void {
    for (const place of ['home', 'router', 'outside'] as const) ip('netns', 'delete', this.#namespace(place));
  }

  #namespace(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  #link(place: Place, address: string, device: string, routerAddress: string): void {
    const peer = ['type', 'veth', 'peer', 'eth0', 'netns', this.#namespace(place)];
    ip('link', 'add', device, 'netns', this.#namespace('router'), ...peer);
    this.run('router', 'ip', 'address', 'add', `${routerAddress}/24`, 'dev', device);
    this.run('router', 'ip', 'link', 'set', device, 'up');
    this.run(place, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
    this.run(place, 'ip', 'link', 'set', 'eth0', 'up');
  }

  /** Drops packets from outside that are not answers and not forwarded by miniupnpd. */
  #filterRouter(): void {
    const rules = `table inet miniupnpd {
      chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan0" accept
        jump miniupnpd
      }
      chain miniupnpd { }
      chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
      chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        jump postrouting_miniupnpd
        oifname "wan0" masquerade
      }
      chain prerouting_miniupnpd { }
      chain postrouting_miniupnpd { }
    }`;
    const file = path.join(this.#folder, 'router.nft');
    writeFileSync(file, rules);
    this.run('router', 'nft', '-f', file);
  }
}

function ip(...argv: string[]): void {
  execFileSync('ip', argv, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 30_000 });
}
