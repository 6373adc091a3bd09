import { fileStamp, NEVER_READ, readSmallFile } from '../config/file-stamp.ts';
import type { KeysSourceConfig } from '../config/schema/admission-sources.ts';
import { errorMessage, TowpathError } from '../errors.ts';
import { parseKeyList, type KeyList } from './key-list.ts';
import type { Answer, ListSource, SourceParts, SourceState } from './source.ts';

/** Some 200,000 keys with their labels. */
const LIST_BYTES = 16 * 1024 * 1024;
const NO_KEYS: KeyList = new Map();

/**
 * Keys from files. Both are looked at every `pollSeconds`: watching does not work for mounted secrets. A file that
 * became unreadable or wrong leaves the old list in use: the allow list for `keepSeconds`, the deny list for ever,
 * because forgetting whom to keep out is never the safe side.
 */
export class KeysSource implements ListSource {
  readonly style = 'list';
  readonly kind = 'keys';
  readonly name: string;
  readonly #config: KeysSourceConfig;
  readonly #parts: SourceParts;
  readonly #listeners = new Set<() => void>();
  #allow: KeyList = NO_KEYS;
  #deny: KeyList = NO_KEYS;
  #stamp: string;
  #polledAt: number;
  #goodAt: number;
  #problem: string | null = null;
  #wasKept = true;
  #leaveClock: () => void = () => undefined;

  /** Throws a {@link TowpathError} when a file is unusable at the start. */
  constructor(config: KeysSourceConfig, parts: SourceParts) {
    this.name = config.name;
    this.#config = config;
    this.#parts = parts;
    this.#stamp = this.#readStamp();
    this.#polledAt = this.#goodAt = parts.clock.now;
    this.#load();
  }

  start(): Promise<void> {
    this.#leaveClock = this.#parts.clock.onTick((now) => this.#tick(now));
    return Promise.resolve();
  }

  stop(): void {
    this.#leaveClock();
  }

  denies(key: string): boolean {
    return this.#deny.has(key);
  }

  look(key: string): Answer {
    if (this.#config.allowFile === undefined) return refused('unknown_key', 'it only denies');
    if (!this.#allow.has(key)) return refused('unknown_key', 'the key is not in the allow file');
    return this.#isKept() ? 'yes' : refused('unavailable', this.#problem ?? '');
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  state(): SourceState {
    const ageSeconds = this.#problem === null ? 0 : (this.#parts.clock.now - this.#goodAt) / 1000;
    return { problem: this.#problem, isUsable: this.#isKept(), keys: this.#allow.size, ageSeconds };
  }

  #isKept(): boolean {
    return this.#problem === null || this.#parts.clock.now - this.#goodAt < this.#config.keepSeconds * 1000;
  }

  #tick(now: number): void {
    if (now - this.#polledAt < this.#config.pollSeconds * 1000) return;
    this.#polledAt = now;
    if (this.#problem === null) this.#goodAt = now;
    const stamp = this.#readStamp();
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#reload();
    }
    if (this.#wasKept && !this.#isKept()) {
      this.#wasKept = false;
      this.#parts.log.error({ source: this.name }, 'the last allow list is too old to be used any more');
      this.#changed();
    }
  }

  #reload(): void {
    const { log } = this.#parts;
    try {
      this.#load();
    } catch (error) {
      this.#stamp = NEVER_READ;
      const before = this.#problem;
      this.#problem = errorMessage(error);
      if (this.#problem === before) return;
      log.error(
        { source: this.name, error: this.#problem },
        'the changed key files are not usable; the old lists stay',
      );
      return;
    }
    this.#problem = null;
    this.#wasKept = true;
    this.#goodAt = this.#parts.clock.now;
    log.info({ source: this.name, allowed: this.#allow.size, denied: this.#deny.size }, 'key files reloaded');
    this.#changed();
  }

  #load(): void {
    const { allowFile, denyFile } = this.#config;
    const allow = allowFile === undefined ? NO_KEYS : readKeys(allowFile);
    this.#deny = denyFile === undefined ? NO_KEYS : readKeys(denyFile);
    this.#allow = allow;
  }

  #readStamp(): string {
    return fileStamp(...[this.#config.allowFile, this.#config.denyFile].filter((file) => file !== undefined));
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function refused(reason: 'unknown_key' | 'unavailable', detail: string): Answer {
  return { reason, detail, failsOpen: false };
}

function readKeys(file: string): KeyList {
  let text: string;
  try {
    text = readSmallFile(file, LIST_BYTES);
  } catch (error) {
    throw new TowpathError('TOWPATH_KEY_LIST_UNREADABLE', `key list ${file}: ${errorMessage(error)}`, {
      hint: 'Check the path, and that the user that runs towpath may read it.',
      cause: error,
    });
  }
  return parseKeyList(text, file);
}
