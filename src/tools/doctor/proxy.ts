import type { Config } from '../../config/schema.ts';
import { PrefixSet } from '../../base/ip-prefix.ts';
import { check, type Check } from './check.ts';

/** Whether this machine may connect to the relay's own port at `ip`: with `transport: plain`, only proxies may. */
export function mayConnect({ transport, proxy }: Config, ip: string): boolean {
  return transport === 'tls' || new PrefixSet(proxy.trusted).has(ip);
}

/** Whether a connection from this machine must start with a PROXY header, as from a trusted proxy. */
export function speaksProxyProtocol({ proxy }: Config, ip: string): boolean {
  return proxy.protocol && new PrefixSet(proxy.trusted).has(ip);
}

/** Checks the relay's metrics for refused connections of proxies. */
export function proxyChecks({ transport, proxy }: Config, metrics: string): Check[] {
  if (transport === 'tls' && !proxy.protocol) return [];
  const [strangers, headless] = [refused(metrics, 'untrusted_proxy'), refused(metrics, 'proxy_header')];
  const found: Check[] = [];
  if (strangers > 0) {
    const text = `${strangers} connections from outside proxy.trusted (${proxy.trusted.join(', ')}) were closed since the start`;
    found.push(
      check('proxy', 'warning', text, {
        fix: 'If the proxy is one of them, add its address to proxy.trusted (the log has it at "untrusted_proxy"). Otherwise block this port for others in a firewall.',
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
          fix: 'Turn the PROXY protocol on in the proxy (HAProxy: send-proxy-v2, nginx: proxy_protocol on), or turn it off in the relay (proxy.protocol).',
        },
      ),
    );
  }
  return found.length > 0 ? found : [check('proxy', 'ok', 'the relay has refused no connection because of its proxy')];
}

function refused(metrics: string, reason: string): number {
  return Number(new RegExp(`^towpath_refusals_total\\{reason="${reason}"\\} (\\d+)`, 'm').exec(metrics)?.[1] ?? 0);
}

/** How to fix a failed step of a client behind a proxy; null where the proxy makes no difference. */
export function fixInFront(step: string, port: number): string | null {
  switch (step) {
    case 'tcp-ipv4':
    case 'tcp-ipv6':
      return `With transport plain, the proxy in front listens there: start it, and forward TCP port ${port} to it.`;
    case 'tls':
      return 'With transport plain, the proxy in front has the certificate: renew or correct it there.';
    case 'upgrade':
      return 'Configure the proxy to forward "Upgrade: DERP" unchanged to the right address of the relay: docs/behind-a-proxy.md has examples.';
    case 'websocket':
      return 'Configure the proxy to forward WebSocket to the relay: docs/behind-a-proxy.md has examples.';
    default:
      return null;
  }
}
