import { SLOW_TICK_MS } from '../base/clock.ts';
import type { KeysSourceConfig } from '../config/schema/admission-sources.ts';
import { NO_FACTS, type NodeFacts } from './node-facts.ts';
import type { Answer, ListSource, SourceParts, SourceState } from './source.ts';
import { WatchedKeyList } from './watched-key-list.ts';

/**
 * Keys from files. Both files are checked every `pollSeconds`, because file watching does not work for mounted secrets.
 * When a file becomes unreadable or invalid, its old list stays in use: the allow list for `keepSeconds`, the deny list
 * permanently, because it is never safe to drop a denied key. The other file is still read.
 */
export class KeysSource implements ListSource {
  readonly style = 'list';
  readonly kind = 'keys';
  readonly name: string;
  readonly #config: KeysSourceConfig;
  readonly #parts: SourceParts;
  readonly #listeners = new Set<() => void>();
  readonly #allow: WatchedKeyList | null;
  readonly #deny: WatchedKeyList | null;
  #polledAt: number;
  /** When the allow file was last valid. */
  #goodAt: number;
  #problem: string | null = null;
  #wasKept = true;
  #leaveClock: () => void = () => undefined;

  /** Throws a TowpathError when a file is unusable at the start. */
  constructor(config: KeysSourceConfig, parts: SourceParts) {
    const watch = (file: string | undefined): WatchedKeyList | null =>
      file === undefined ? null : new WatchedKeyList(file, parts.now);
    this.name = config.name;
    this.#config = config;
    this.#parts = parts;
    this.#polledAt = this.#goodAt = parts.clock.now;
    this.#allow = watch(config.allowFile);
    this.#deny = watch(config.denyFile);
  }

  start(): Promise<void> {
    this.#leaveClock = this.#parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
    return Promise.resolve();
  }

  stop(): void {
    this.#leaveClock();
  }

  reload(): void {
    this.#look(true);
  }

  denies(key: string): boolean {
    return this.#deny?.keys.has(key) === true;
  }

  look(key: string): Answer {
    if (this.#allow === null) return refused('unknown_key', 'it only denies');
    if (!this.#allow.keys.has(key)) return refused('unknown_key', 'the key is not in the allow file');
    return this.#isKept() ? 'yes' : refused('unavailable', this.#problem ?? '');
  }

  facts(key: string): NodeFacts | null {
    const label = this.#allow?.keys.get(key);
    return label === undefined ? null : { ...NO_FACTS, label };
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  state(): SourceState {
    const ageSeconds = this.#problem === null ? 0 : (this.#parts.clock.now - this.#goodAt) / 1000;
    return { problem: this.#problem, isUsable: this.#isKept(), keys: this.#allow?.keys.size ?? 0, ageSeconds };
  }

  /** Returns whether the old allow list may still be used. Always true without an allow file. */
  #isKept(): boolean {
    if (this.#allow === null || this.#allow.problem === null) return true;
    return this.#parts.clock.now - this.#goodAt < this.#config.keepSeconds * 1000;
  }

  #tick(now: number): void {
    if (now - this.#polledAt < this.#config.pollSeconds * 1000) return;
    if ((this.#allow?.problem ?? null) === null) this.#goodAt = now;
    this.#look(false);
    if (!this.#wasKept || this.#isKept()) return;
    this.#wasKept = false;
    this.#parts.log.error({ source: this.name }, 'the last allow list is too old and no longer used');
    this.#changed();
  }

  #look(isForced: boolean): void {
    const { log, clock } = this.#parts;
    this.#polledAt = clock.now;
    const lists = [this.#allow, this.#deny].filter((list) => list !== null);
    const isChanged = lists.map((list) => list.look(isForced)).includes('changed');
    const problem = lists.map((list) => list.problem).find((found) => found !== null) ?? null;
    if (problem !== null && problem !== this.#problem) {
      log.error(
        { source: this.name, error: problem },
        'the changed key files cannot be used; the old lists stay in use',
      );
    }
    this.#problem = problem;
    if ((this.#allow?.problem ?? null) === null) {
      this.#goodAt = clock.now;
      this.#wasKept = true;
    }
    if (!isChanged) return;
    const fields = { source: this.name, allowed: this.#allow?.keys.size ?? 0, denied: this.#deny?.keys.size ?? 0 };
    log.info(fields, 'key files reloaded');
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function refused(reason: 'unknown_key' | 'unavailable', detail: string): Answer {
  return { reason, detail, failsOpen: false };
}
