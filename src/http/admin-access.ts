import type { IncomingMessage } from 'node:http';
import { ipFamily } from '../base/ip-address.ts';
import { ApiError } from './api/api-error.ts';
import { hostOf } from './https-target.ts';

/** The token of the admin listener. */
export interface AccessToken {
  /** False: the listener knows no token. */
  readonly isNeeded: boolean;
  /** Whether the Authorization header of a request lets it in. */
  isRight(header: string | undefined): boolean;
}

/** What needs no token: whether it lives and is ready. What a browser needs to ask for the token is listed by the caller. */
const OPEN_PATHS = ['/healthz', '/readyz'];

/** Decides who may ask the admin listener. */
export class AdminAccess {
  readonly #names: ReadonlySet<string>;
  readonly #token: AccessToken;
  readonly #openPaths: ReadonlySet<string>;

  /** `names`: besides IP addresses and localhost. `openPaths`: further paths that need no token. */
  constructor(names: readonly string[], token: AccessToken, openPaths: readonly string[] = []) {
    this.#names = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
    this.#token = token;
    this.#openPaths = new Set([...OPEN_PATHS, ...openPaths]);
  }

  /** Why a request for `path` is not answered, or null. */
  refusal({ headers }: IncomingMessage, path: string): ApiError | null {
    if (!this.#isOwnHost(headers.host)) return WRONG_HOST;
    if (this.#openPaths.has(path) || this.#token.isRight(headers.authorization)) return null;
    return headers.authorization === undefined ? NO_TOKEN : WRONG_TOKEN;
  }

  /** Whether a request may see more than an open path shows to everybody. */
  isTrusted({ headers }: IncomingMessage): boolean {
    return this.#token.isRight(headers.authorization);
  }

  /** False for a name that is not ours: a web page may have made its own name point here (DNS rebinding). */
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
