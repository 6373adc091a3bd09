import { createHash, timingSafeEqual } from 'node:crypto';
import { readSmallFile } from '../base/file-stamp.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import type { AdminConfig } from '../config/schema/admin.ts';

const LEAST_CHARACTERS = 16;
const MOST_BYTES = 4096;
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;
const HOW = 'Make one with: openssl rand -hex 32';

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the configured token, or null. Throws a TowpathError when it cannot be read or is too weak. */
export function readAdminToken({ token, tokenFile }: AdminConfig, env: Environment): string | null {
  if (token === undefined && tokenFile === undefined) return null;
  const name = token?.slice('env:'.length) ?? '';
  const place = tokenFile === undefined ? `the environment variable ${name}` : tokenFile;
  const found = (tokenFile === undefined ? (env[name] ?? '') : readFile(tokenFile)).trim();
  if (found.length >= LEAST_CHARACTERS && /^[\x21-\x7e]+$/.test(found)) return found;
  const problem = found === '' ? 'is empty or not set' : `is not ${LEAST_CHARACTERS} or more visible ASCII characters`;
  throw new TowpathError('TOWPATH_ADMIN_TOKEN', `The token of the admin listener, in ${place}, ${problem}.`, {
    hint: HOW,
  });
}

function readFile(file: string): string {
  try {
    return readSmallFile(file, MOST_BYTES);
  } catch (error) {
    const problem = `The token of the admin listener cannot be read: ${errorMessage(error)}.`;
    throw new TowpathError('TOWPATH_ADMIN_TOKEN', problem, {
      hint: `Allow the user of the relay to read the file of admin.tokenFile. ${HOW}`,
      cause: error,
    });
  }
}

/** Compares tokens of clients with the token of the admin listener, in constant time. Only its hash is kept. */
export class AdminToken {
  readonly #admin: AdminConfig;
  readonly #env: Environment;
  /** Null: no token is needed. */
  #hash: Buffer | null;

  /** Throws a TowpathError when the token cannot be used. */
  constructor(admin: AdminConfig, env: Environment) {
    this.#admin = admin;
    this.#env = env;
    this.#hash = hashOrNull(readAdminToken(admin, env));
  }

  get isNeeded(): boolean {
    return this.#hash !== null;
  }

  /** Returns whether the Authorization header of a request has the token. */
  isRight(header: string | undefined): boolean {
    if (this.#hash === null) return true;
    const shown = BEARER.exec(header ?? '')?.[1];
    return shown !== undefined && timingSafeEqual(hash(shown), this.#hash);
  }

  /** Reads the token again. Throws a TowpathError and keeps the old one when the new one cannot be used. */
  reload(): void {
    this.#hash = hashOrNull(readAdminToken(this.#admin, this.#env));
  }
}

function hashOrNull(token: string | null): Buffer | null {
  return token === null ? null : hash(token);
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
