import { statSync } from 'node:fs';
import { fileStamp, NEVER_READ, readSmallFile } from '../base/file-stamp.ts';
import { errorMessage, TowpathError } from '../base/errors.ts';
import { parseKeyList, type KeyList } from './key-list.ts';

/** About 200,000 keys with their labels. */
const LIST_BYTES = 16 * 1024 * 1024;
/** A file that changed less than this time ago may still be written. */
const SETTLE_MS = 500;

/** Result of a check of the file: a new list, the old one, or a file that cannot be used now. */
export type Look = 'changed' | 'same' | 'unusable';

/**
 * The keys of one file. If the file cannot be read or is invalid, the old list stays, and the file is read at each check.
 * A list that has become shorter is used only when its file has not changed for a moment: while it is written,
 * the rest of the keys seems to be missing.
 */
export class WatchedKeyList {
  readonly #path: string;
  readonly #now: () => number;
  #keys: KeyList;
  #stamp: string;
  #problem: string | null = null;

  /** `now` is the wall clock. Throws a {@link TowpathError} when the file is unusable. */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
    this.#stamp = fileStamp(path);
    this.#keys = readKeys(path);
  }

  get keys(): KeyList {
    return this.#keys;
  }

  /** Why the file cannot be used, or null. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Reads the file when it has changed, when it could not be read last time, or when `isForced`. */
  look(isForced: boolean): Look {
    const stamp = fileStamp(this.#path);
    if (!isForced && stamp === this.#stamp) return 'same';
    try {
      const keys = readKeys(this.#path);
      if (isShorter(keys, this.#keys) && this.#isJustWritten()) return 'same';
      const isNews = this.#problem !== null || !isSame(keys, this.#keys);
      this.#stamp = stamp;
      this.#problem = null;
      this.#keys = keys;
      return isNews ? 'changed' : 'same';
    } catch (error) {
      this.#stamp = NEVER_READ;
      this.#problem = errorMessage(error);
      return 'unusable';
    }
  }

  #isJustWritten(): boolean {
    return Math.abs(this.#now() - statSync(this.#path).mtimeMs) < SETTLE_MS;
  }
}

function isShorter(list: KeyList, old: KeyList): boolean {
  for (const key of old.keys()) if (!list.has(key)) return true;
  return false;
}

function isSame(list: KeyList, old: KeyList): boolean {
  if (list.size !== old.size) return false;
  for (const [key, label] of list) if (old.get(key) !== label) return false;
  return true;
}

function readKeys(file: string): KeyList {
  let text: string;
  try {
    text = readSmallFile(file, LIST_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_KEY_LIST_UNREADABLE', `key list ${file}: ${errorMessage(error)}`, {
      hint: 'Check the path, and check that the user that runs towpath may read the file.',
      cause: error,
    });
  }
  return parseKeyList(text, file);
}
