import type { Config } from '../config/schema.ts';
import { PrefixSet } from '../wire/ip-prefix.ts';
import { check, type Check } from './check.ts';

/** Whether this machine may connect to the relay's own port at `ip`: with `transport: plain` only proxies may. */
export function mayConnect({ transport, proxy }: Config, ip: string): boolean {
  return transport === 'tls' || new PrefixSet(proxy.trusted).has(ip);
}

/** Whether a connection of this machine starts with a PROXY header, as those of trusted proxies have to. */
export function speaksProxyProtocol({ proxy }: Config, ip: string): boolean {
  return proxy.protocol && new PrefixSet(proxy.trusted).has(ip);
}

/** What the relay has counted of the proxies in front, out of the text of its metrics. */
export function proxyChecks({ transport, proxy }: Config, metrics: string): Check[] {
  if (transport === 'tls' && !proxy.protocol) return [];
  const [strangers, headless] = [refused(metrics, 'untrusted_proxy'), refused(metrics, 'proxy_header')];
  const found: Check[] = [];
  if (strangers > 0) {
    const text = `${strangers} connections from outside proxy.trusted (${proxy.trusted.join(', ')}) were ended since the start`;
    found.push(
      check('proxy', 'warning', text, {
        fix: 'If the proxy is one of them, add its address, which is in the log at "untrusted_proxy", to proxy.trusted; else let a firewall keep others off this port.',
      }),
    );
  }
  if (headless > 0) {
    found.push(
      check(
        'proxy',
        'warning',
        `${headless} connections of trusted proxies had no valid PROXY header since the start`,
        {
          fix: 'Switch the PROXY protocol on in the proxy (HAProxy: send-proxy-v2, nginx: proxy_protocol on), or off in the relay (proxy.protocol).',
        },
      ),
    );
  }
  return found.length > 0 ? found : [check('proxy', 'ok', 'the relay has refused no connection because of its proxy')];
}

function refused(metrics: string, reason: string): number {
  return Number(new RegExp(`^towpath_refusals_total\\{reason="${reason}"\\} (\\d+)`, 'm').exec(metrics)?.[1] ?? 0);
}

/** What to do about a step of a client that comes through the proxy; null where that is the same without one. */
export function fixInFront(step: string, port: number): string | null {
  switch (step) {
    case 'tcp-ipv4':
    case 'tcp-ipv6':
      return `With transport plain it is the proxy in front that listens there: start it, and let TCP port ${port} through to it.`;
    case 'tls':
      return 'With transport plain the certificate is that of the proxy in front: renew or correct it there.';
    case 'upgrade':
      return 'Have the proxy pass "Upgrade: DERP" on to the relay as it is, and tell it the right address of the relay: docs/behind-a-proxy.md has recipes.';
    case 'websocket':
      return 'Have the proxy pass WebSocket on to the relay: docs/behind-a-proxy.md has recipes.';
    default:
      return null;
  }
}
