import { canonicalIp, ipFamily } from '../../base/ip-address.ts';
import { canonicalPrefix, PrefixSet } from '../../base/ip-prefix.ts';

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy, and the variable that names it. */
export interface ProxyChoice {
  /** `http:` or `https:`; may hold a user and a password. */
  readonly url: URL;
  readonly variable: string;
}

/** The value of a proxy variable is not a proxy, or a proxy of a kind that is not supported. */
export class ProxyVariableError extends Error {}

/**
 * The proxy for a URL by `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in any case, as other programs read them; null
 * when there is none. Only the names in `NO_PROXY` are exempt, and not the loopback addresses, as with curl.
 * Throws a {@link ProxyVariableError} that does not repeat the value: it may hold a password.
 */
export function chooseProxy(target: URL, environment: Environment): ProxyChoice | null {
  const wanted = target.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const variable = nameIn(environment, wanted);
  if (variable === null || isExempt(target, environment)) return null;
  const text = environment[variable]!.trim();
  // As with other programs, "proxy.example.com:3128" is an HTTP proxy.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || url.hostname === '') throw new ProxyVariableError(`${variable} names no proxy`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ProxyVariableError(
      `${variable} names a proxy of a kind that is not supported, ${url.protocol}//; use one with http:// or https://`,
    );
  }
  return { url, variable };
}

/** Returns the name of the variable that is set. Lower case comes first, as with curl. */
function nameIn(environment: Environment, lower: string): string | null {
  const names = [lower, lower.toUpperCase(), ...Object.keys(environment)];
  return names.find((name) => name.toLowerCase() === lower && (environment[name] ?? '').trim() !== '') ?? null;
}

function isExempt(target: URL, environment: Environment): boolean {
  const variable = nameIn(environment, 'no_proxy');
  if (variable === null) return false;
  const host = bare(target.hostname);
  const port = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port;
  return environment[variable]!.toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(entry, host, port));
}

/** An entry is `*`, an IP, a network, or a name with all its subdomains. All but the network may have a port. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const network = canonicalPrefix(entry);
  if (network !== null) return ipFamily(host) !== 0 && new PrefixSet([network]).has(canonicalIp(host));
  const parts = /^(.*?)(?::(\d+))?$/.exec(entry)!;
  if (parts[2] !== undefined && parts[2] !== port) return false;
  const name = bare(parts[1]!);
  if (ipFamily(name) !== 0) return ipFamily(host) !== 0 && canonicalIp(name) === canonicalIp(host);
  const domain = name.replace(/^\*?\./, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

/** Returns a host without brackets and without its final dot. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}
