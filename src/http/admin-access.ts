import type { IncomingMessage } from 'node:http';
import { ipFamily } from '../base/ip-address.ts';
import { ApiError } from './api/api-error.ts';
import { hostOf } from './https-target.ts';

/** The token of the admin listener. */
export interface AccessToken {
  /** False when the listener has no token. */
  readonly isNeeded: boolean;
  /** Returns whether the Authorization header of a request has the token. */
  isRight(header: string | undefined): boolean;
}

/** Paths without a token: health and readiness. The caller adds the files that a browser needs to ask for the token. */
const OPEN_PATHS = ['/healthz', '/readyz'];

/** Decides which requests the admin listener answers. */
export class AdminAccess {
  readonly #names: ReadonlySet<string>;
  readonly #token: AccessToken;
  readonly #openPaths: ReadonlySet<string>;

  /** `names`: host names, in addition to IP addresses and localhost. `openPaths`: further paths that need no token. */
  constructor(names: readonly string[], token: AccessToken, openPaths: readonly string[] = []) {
    this.#names = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
    this.#token = token;
    this.#openPaths = new Set([...OPEN_PATHS, ...openPaths]);
  }

  /** Returns why a request for `path` is refused, or null. */
  refusal({ headers }: IncomingMessage, path: string): ApiError | null {
    if (!this.#isOwnHost(headers.host)) return WRONG_HOST;
    if (this.#openPaths.has(path) || this.#token.isRight(headers.authorization)) return null;
    return headers.authorization === undefined ? NO_TOKEN : WRONG_TOKEN;
  }

  /** Returns whether a request may see more than the public part of an open path. */
  isTrusted({ headers }: IncomingMessage): boolean {
    return this.#token.isRight(headers.authorization);
  }

  /** Returns false for a foreign host name: a web page may have pointed its own name here (DNS rebinding). */
  #isOwnHost(header: string | undefined): boolean {
    const host = hostOf(header);
    if (host === null) return false;
    const bare = host.startsWith('[') ? host.slice(1, -1) : host.toLowerCase();
    return ipFamily(bare) !== 0 || this.#names.has(bare);
  }
}

const WRONG_HOST = new ApiError(
  403,
  'host',
  'Ask by IP address or as localhost',
  'Other names are allowed by admin.names, together with a token.',
);
const NO_TOKEN = new ApiError(401, 'token_missing', 'This needs the admin token', 'Authorization: Bearer TOKEN');
const WRONG_TOKEN = new ApiError(401, 'token_wrong', 'This is not the admin token');
