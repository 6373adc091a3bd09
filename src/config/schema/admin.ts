import type { z } from 'zod';
import { formatHostPort, isLoopback } from '../../base/ip-address.ts';
import { key, optionalKey, section } from './fields.ts';
import { filePath, hostNames, localAddressOrOff, text, toggle, type ListenAddress } from './values.ts';

/** The admin listener: its addresses, and the clients that may use it. */
export interface AdminConfig {
  /** Null: not on TCP. */
  readonly listen: ListenAddress | null;
  /** The path of a Unix socket, in addition to `listen`. */
  readonly socket?: string | undefined;
  /** True: TLS with the certificate of the relay. */
  readonly tls: boolean;
  /** A reference to a variable: `env:NAME`. */
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  /** Host names that requests may have, in addition to IP addresses and localhost. */
  readonly names: readonly string[];
}

const SAFE = 'a loopback address such as 127.0.0.1:9090, or admin.tls: true together with admin.tokenFile';

export const admin: z.ZodType<AdminConfig> = section(
  'The admin listener: health, metrics, status page and JSON API (docs/status-page.md). `admin: 127.0.0.1:9090` and `admin: off` are short for `admin.listen`.',
  {
    listen: key(
      localAddressOrOff(),
      '127.0.0.1:9090',
      'TCP address for health, metrics, the status page and the JSON API, or off. Other addresses than those of the loopback need `admin.tls` and a token.',
      { flag: 'admin' },
    ),
    socket: optionalKey(
      filePath(),
      'Path of a Unix socket on which the admin listener answers too. Its owner and its group may use it.',
    ),
    tls: key(toggle(), false, 'Serve the TCP address with TLS and the certificate of the relay.'),
    token: optionalKey(
      text(/^env:[A-Za-z_][A-Za-z0-9_]*$/, 'env:NAME, the name of an environment variable'),
      'Token that clients must show (Authorization: Bearer), as env:NAME. `/healthz` and `/readyz` need none.',
      { flag: false, secret: true },
    ),
    tokenFile: optionalKey(filePath(), 'File with the token that clients must show, at least 16 characters.'),
    names: key(
      hostNames(),
      [],
      'DNS names under which the admin listener may be asked, besides IP addresses and localhost. They need a token.',
    ),
  },
  {
    shorthand: 'listen',
    check: ({ listen, socket, tls, token, tokenFile, names }, refuse) => {
      const hasToken = token !== undefined || tokenFile !== undefined;
      if (token !== undefined && tokenFile !== undefined)
        refuse('token', 'found token and tokenFile; allowed: one of them');
      if (listen !== null && !isLoopback(listen.ip) && !(tls && hasToken)) {
        refuse('listen', `found ${formatHostPort(listen.ip, listen.port)}; allowed: ${SAFE}`);
      }
      if (tls && listen === null && socket !== undefined) {
        refuse('tls', 'found true; allowed: false, because a Unix socket needs no TLS and listen is off');
      }
      if (names.length > 0 && !hasToken) {
        refuse('names', 'a name needs a token: without one, any web page could ask under it; set admin.tokenFile');
      }
    },
  },
);
