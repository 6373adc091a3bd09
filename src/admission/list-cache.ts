import { nodeFacts, type NodeFacts, type NodeList } from './node-facts.ts';
import { isRecord } from './node-list.ts';
import { readSmallFile } from '../base/file-stamp.ts';
import { writePrivateFile } from '../base/private-file.ts';
import { errorMessage, systemErrorCode } from '../base/errors.ts';

const VERSION = 1;
/** Largest file. The list is shorter than the answer that it was made from, which has this limit. */
const LIMIT_BYTES = 64 * 1024 * 1024;
const KEY = /^[0-9a-f]{64}$/;

/** A node list as it was fetched. */
export interface CachedList {
  /** Wall clock, milliseconds since 1970. */
  readonly fetchedAt: number;
  readonly nodes: NodeList;
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
    const { version, origin, fetchedAt, keys, facts } = (value ?? {}) as Record<string, unknown>;
    if (version !== VERSION || origin !== this.#origin || typeof fetchedAt !== 'number' || !Array.isArray(keys))
      return null;
    const known = isRecord(facts) ? facts : {};
    const nodes = new Map<string, NodeFacts>();
    for (const key of keys as unknown[]) {
      if (typeof key === 'string' && KEY.test(key)) nodes.set(key, factsOf(known[key]));
    }
    return { fetchedAt, nodes };
  }

  /** Returns the problem as text, or null. */
  save({ fetchedAt, nodes }: CachedList): string | null {
    const value = {
      version: VERSION,
      origin: this.#origin,
      fetchedAt,
      keys: [...nodes.keys()],
      // Stored next to the keys, so that an older towpath can still read those.
      facts: Object.fromEntries(nodes),
    };
    try {
      writePrivateFile(this.#path, `${JSON.stringify(value)}\n`, { replace: true });
      return null;
    } catch (error) {
      return systemErrorCode(error) === '' ? errorMessage(error) : `${systemErrorCode(error)} ${this.#path}`;
    }
  }
}

function factsOf(value: unknown): NodeFacts {
  const { label, user, tags } = isRecord(value) ? value : {};
  return nodeFacts(label, user, tags);
}
