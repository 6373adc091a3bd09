import { z } from 'zod';
import { canonicalIp, ipFamily, parseListenAddress } from '../../base/ip-address.ts';
import { canonicalPrefix } from '../../base/ip-prefix.ts';

/** A kind of value: how it is checked, how it is read from text, and a description of what is allowed. */
export interface Value<T> {
  readonly schema: z.ZodType<T>;
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'json';
  /** Completes "allowed: …". */
  readonly allowed: string;
  readonly isPath?: boolean;
  /** For a list of objects: the fields of them that are paths. */
  readonly pathFields?: readonly string[];
}

/** Where to listen. `ip` is canonical text; `::` means every address of both families. */
export interface ListenAddress {
  readonly ip: string;
  readonly port: number;
}

const DNS_NAME =
  /^(?=.{1,253}\.?$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*\.?$/i;
const ADDRESS = 'an address such as 127.0.0.1:443, [::]:443 or 443';

/** A whole number of `unit` from `min` to `max`. */
export function integer(min: number, max: number, unit = ''): Value<number> {
  const noun = unit === '' ? 'a whole number' : `a whole number of ${unit}`;
  return { schema: z.int().min(min).max(max), kind: 'number', allowed: `${noun} from ${min} to ${max}` };
}

/** True or false. */
export function toggle(): Value<boolean> {
  return { schema: z.boolean(), kind: 'boolean', allowed: 'true or false' };
}

/** One of a few words. */
export function choice<const T extends string>(...words: readonly T[]): Value<T> {
  return { schema: z.enum(words), kind: 'text', allowed: `one of ${words.join(', ')}` };
}

/** Text that matches `pattern`. */
export function text(pattern: RegExp, allowed: string): Value<string> {
  return { schema: z.string().regex(pattern), kind: 'text', allowed };
}

/** The path of a file or directory. A relative path is resolved by `load.ts`. */
export function filePath(): Value<string> {
  return { schema: z.string().min(1), kind: 'text', allowed: 'a path', isPath: true };
}

/** A web address with one of `schemes`. A user and a password in it would end up in logs. */
export function webAddress(...schemes: readonly string[]): Value<string> {
  const accepts = (input: string): boolean => {
    const url = URL.parse(input);
    return (
      url !== null &&
      schemes.includes(url.protocol.slice(0, -1)) &&
      url.hostname !== '' &&
      url.username === '' &&
      url.password === ''
    );
  };
  return {
    schema: z.string().refine(accepts),
    kind: 'text',
    allowed: `a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}, without user and password`,
  };
}

/** A DNS name or an IP. */
export function hostName(): Value<string> {
  return { schema: z.string().refine(isHostName), kind: 'text', allowed: 'a DNS name or an IP address' };
}

/** DNS names and IPs. */
export function hostNames(): Value<string[]> {
  return list((entry) => (isHostName(entry) ? canonicalIp(entry) : null), 'DNS names or IP addresses');
}

/** IPs, as canonical text. */
export function ips(): Value<string[]> {
  return list((entry) => (ipFamily(entry) === 0 ? null : canonicalIp(entry)), 'IP addresses');
}

/** Networks such as 10.0.0.0/8 or single IPs, as canonical text; `none` is the empty list. */
export function networks(): Value<string[]> {
  const value = list(canonicalPrefix, 'networks such as 10.0.0.0/8', 'none');
  return { ...value, allowed: `${value.allowed}, or none` };
}

/** Entries that match `pattern`. */
export function texts(pattern: RegExp, allowed: string): Value<string[]> {
  return list((entry) => (pattern.test(entry) ? entry : null), allowed);
}

/** One listening address, or null for `off`. A port alone is a port of the loopback address. */
export function localAddressOrOff(): Value<ListenAddress | null> {
  const schema = z.union([z.string(), z.int().min(0).max(65_535)]).transform((input, context) => {
    if (input === 'off') return null;
    const text = String(input).trim();
    const address = parseListenAddress(/^\d{1,5}$/.test(text) ? `127.0.0.1:${text}` : text);
    if (address === null) context.addIssue({ code: 'custom' });
    return address;
  });
  return { schema, kind: 'text', allowed: 'an address such as 127.0.0.1:9090 or [::1]:9090, or off' };
}

/** At least one listening address. */
export function addresses(): Value<ListenAddress[]> {
  const one = list(parseListenAddress, `${ADDRESS}, or several`);
  const schema = one.schema.refine((entries) => entries.length > 0);
  return { ...one, schema, allowed: `${ADDRESS}, or a list of them` };
}

/** Listening addresses; `off` is the empty list. */
export function addressesOrOff(): Value<ListenAddress[]> {
  const { schema } = list(parseListenAddress, ADDRESS, 'off');
  return { schema, kind: 'list', allowed: `${ADDRESS}, a list of them, or off` };
}

/** A list of entries, or one text with commas between them. `empty` is the word for the empty list. */
function list<T>(parse: (entry: string) => T | null, noun: string, empty?: string): Value<T[]> {
  // YAML reads a bare port as a number.
  const entry = z.union([z.string(), z.int().min(0).max(65_535)]);
  const schema = z.union([entry, z.array(entry)]).transform((input, context) => {
    const isText = !Array.isArray(input);
    const entries = isText ? splitList(String(input)) : input.map(String);
    if (entries.length === 1 && entries[0] === empty) return [];
    const values: T[] = [];
    for (const [i, entry] of entries.entries()) {
      const value = parse(entry);
      if (value !== null) values.push(value);
      else context.addIssue({ code: 'custom', path: isText ? [] : [i], params: { found: entry } });
    }
    return values;
  });
  return { schema, kind: 'list', allowed: `a list of ${noun}` };
}

/** Returns the entries of a text with commas between them. */
export function splitList(input: string): string[] {
  return input
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function isHostName(input: string): boolean {
  return ipFamily(input) !== 0 || (DNS_NAME.test(input) && !/^[\d.]+$/.test(input));
}
