import { readSmallFile } from '../base/file-stamp.ts';
import { writePrivateFile } from '../base/private-file.ts';
import { errorMessage, systemErrorCode } from '../base/errors.ts';

const VERSION = 1;
/** The answer from which the list was made is longer than the list, and has at most this. */
const LIMIT_BYTES = 64 * 1024 * 1024;
const KEY = /^[0-9a-f]{64}$/;

/** A node list as it was fetched. */
export interface CachedList {
  /** Wall clock, milliseconds since 1970. */
  readonly fetchedAt: number;
  /** 64 hex digits each. */
  readonly keys: readonly string[];
}

/** Keeps a fetched list on the disk, readable by its owner only, so that a restart does not depend on the source. */
export class ListCache {
  readonly #path: string;
  readonly #origin: string;

  /** A cached list of another `origin` is not used: the operator may have reused the name for another source. */
  constructor(path: string, origin: string) {
    this.#path = path;
    this.#origin = origin;
  }

  /** The cached list, or null when there is none for this origin. */
  load(): CachedList | null {
    let value: unknown;
    try {
      value = JSON.parse(readSmallFile(this.#path, LIMIT_BYTES));
    } catch {
      return null;
    }
    const { version, origin, fetchedAt, keys } = (value ?? {}) as Record<string, unknown>;
    if (version !== VERSION || origin !== this.#origin || typeof fetchedAt !== 'number' || !Array.isArray(keys))
      return null;
    return { fetchedAt, keys: keys.filter((key): key is string => typeof key === 'string' && KEY.test(key)) };
  }

  /** Returns the problem as text, or null. */
  save(list: CachedList): string | null {
    try {
      writePrivateFile(this.#path, `${JSON.stringify({ version: VERSION, origin: this.#origin, ...list })}\n`, {
        replace: true,
      });
      return null;
    } catch (error) {
      return systemErrorCode(error) === '' ? errorMessage(error) : `${systemErrorCode(error)} ${this.#path}`;
    }
  }
}
