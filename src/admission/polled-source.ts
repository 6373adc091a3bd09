import { SLOW_TICK_MS } from '../base/clock.ts';
import { errorMessage } from '../base/errors.ts';
import { SourceFailure } from './failure.ts';
import type { ListCache } from './list-cache.ts';
import { isSameList, type NodeFacts, type NodeList } from './node-facts.ts';
import type { Answer, ListSource, SourceParts, SourceState } from './source.ts';

/** First pause after a failure; it doubles with each further failure. */
const FIRST_PAUSE_MS = 2000;
/** Longest pause, unless the refresh time is longer or the server asks for more. */
const LONGEST_PAUSE_MS = 300_000;
/** An unchanged list is written again after this time, so that the file shows how fresh it is. */
const REWRITE_MS = 600_000;
/** An unknown key may belong to a new node: the list is fetched again, but not sooner than this after the last time. */
const EARLY_MS = 5000;
/** Early fetches may use at most this part of the time. */
const EARLY_SHARE = 1 / 20;
/**
 * Early fetches in a row, and the average time between them: clients with unknown keys must not use up the server's
 * request limit, or it refuses our requests when a member is removed.
 */
const EARLY_BURST = 12;
const EARLY_EVERY_MS = 30_000;

/** Options of {@link PolledSource}. */
export interface PolledSourceOptions {
  readonly name: string;
  readonly kind: string;
  readonly refreshSeconds: number;
  readonly keepSeconds: number;
  readonly failOpen: boolean;
  /** Reads the list. Fails with a {@link SourceFailure}. */
  readonly fetchNodes: () => Promise<NodeList>;
  readonly cache: ListCache;
}

/**
 * A node list that is fetched every `refreshSeconds`. While that fails, the last list is valid for `keepSeconds`, also
 * after a restart, and attempts become rarer.
 */
export class PolledSource implements ListSource {
  readonly style = 'list';
  readonly name: string;
  readonly kind: string;
  readonly #options: PolledSourceOptions;
  readonly #parts: SourceParts;
  readonly #listeners = new Set<() => void>();
  #nodes: NodeList = new Map();
  /**
   * Monotonic clock, negative when the list is older than this process. A change of the wall clock does not make a list old.
   * Null: never.
   */
  #fetchedAt: number | null = null;
  #savedAt = Number.NEGATIVE_INFINITY;
  #nextAt = Infinity;
  #earlyAt = Infinity;
  #earlyLeft = EARLY_BURST;
  #earlyCountedAt: number;
  #failures = 0;
  #failure: SourceFailure | null = null;
  #wasKept = false;
  #hasToldOfCache = false;
  #isStopped = false;
  #leaveClock: () => void = () => undefined;

  constructor(options: PolledSourceOptions, parts: SourceParts) {
    this.name = options.name;
    this.kind = options.kind;
    this.#options = options;
    this.#parts = parts;
    this.#earlyCountedAt = parts.clock.now;
  }

  async start(): Promise<void> {
    this.#loadCache();
    this.#leaveClock = this.#parts.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
    await this.#refresh();
  }

  stop(): void {
    this.#isStopped = true;
    this.#leaveClock();
  }

  reload(): void {
    if (this.#nextAt !== Infinity) void this.#refresh();
  }

  denies(): boolean {
    return false;
  }

  look(key: string): Answer {
    if (this.#isKept()) {
      if (this.#nodes.has(key)) return 'yes';
      this.#wantEarly();
      return { reason: 'unknown_key', detail: 'no node has this key', failsOpen: false };
    }
    const failsOpen = this.#options.failOpen && this.#failure?.kind === 'transport';
    const detail = this.#failure?.message ?? 'the list was not fetched yet';
    return { reason: this.#fetchedAt === null ? 'not_ready' : 'unavailable', detail, failsOpen };
  }

  facts(key: string): NodeFacts | null {
    return this.#nodes.get(key) ?? null;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  state(): SourceState {
    return {
      problem: this.#failure?.message ?? (this.#fetchedAt === null ? 'the list was not fetched yet' : null),
      isUsable: this.#isKept() || this.#options.failOpen,
      keys: this.#nodes.size,
      ageSeconds: this.#fetchedAt === null ? null : (this.#parts.clock.now - this.#fetchedAt) / 1000,
    };
  }

  #wantEarly(): void {
    if (this.#nextAt <= this.#earlyAt) return;
    const { now } = this.#parts.clock;
    this.#earlyLeft = Math.min(EARLY_BURST, this.#earlyLeft + (now - this.#earlyCountedAt) / EARLY_EVERY_MS);
    this.#earlyCountedAt = now;
    if (this.#earlyLeft < 1) return;
    this.#earlyLeft--;
    this.#nextAt = this.#earlyAt;
  }

  /** Returns whether the list is valid: always when it is refreshed in time, otherwise for `keepSeconds`. */
  #isKept(): boolean {
    if (this.#fetchedAt === null) return false;
    const ageMs = this.#parts.clock.now - this.#fetchedAt;
    return this.#failure === null || ageMs < this.#options.keepSeconds * 1000;
  }

  #loadCache(): void {
    const cached = this.#options.cache.load();
    if (cached === null) return;
    const { clock, now } = this.#parts;
    // A time in the future: the clock was changed, now or then. The age is unknown, so the list is valid for keepSeconds from now on.
    const ageMs = Math.max(now() - cached.fetchedAt, 0);
    if (ageMs >= this.#options.keepSeconds * 1000) return;
    this.#nodes = cached.nodes;
    this.#fetchedAt = this.#savedAt = clock.now - ageMs;
    this.#wasKept = true;
    const ageSeconds = Math.round(ageMs / 1000);
    this.#parts.log.info(
      { source: this.name, keys: cached.nodes.size, ageSeconds },
      'admission list read from the cache',
    );
  }

  #tick(now: number): void {
    if (this.#wasKept && !this.#isKept()) {
      this.#wasKept = false;
      this.#parts.log.error({ source: this.name }, 'the last admission list is too old and no longer used');
      this.#changed();
    }
    if (now < this.#nextAt) return;
    void this.#refresh();
  }

  async #refresh(): Promise<void> {
    const startedAt = performance.now();
    this.#nextAt = this.#earlyAt = Infinity;
    try {
      const nodes = await this.#options.fetchNodes();
      if (!this.#isStopped) this.#take(nodes, performance.now() - startedAt);
    } catch (error) {
      if (!this.#isStopped)
        this.#fail(error instanceof SourceFailure ? error : new SourceFailure('local', errorMessage(error)));
    }
  }

  #take(nodes: NodeList, tookMs: number): void {
    const { log, clock } = this.#parts;
    const isFirst = this.#fetchedAt === null;
    const isChanged = isFirst || !this.#wasKept || !isSameList(nodes, this.#nodes);
    if (this.#failures > 0) log.info({ source: this.name, keys: nodes.size }, 'admission source answers again');
    else if (isFirst) log.info({ source: this.name, keys: nodes.size }, 'admission list fetched');
    this.#failures = 0;
    this.#failure = null;
    this.#nodes = nodes;
    this.#fetchedAt = clock.now;
    this.#wasKept = true;
    this.#nextAt = clock.now + this.#options.refreshSeconds * 1000;
    this.#earlyAt = clock.now + Math.max(EARLY_MS, tookMs / EARLY_SHARE);
    if (isChanged || clock.now - this.#savedAt >= REWRITE_MS) this.#save();
    if (isChanged) this.#changed();
  }

  #fail(failure: SourceFailure): void {
    const { log, clock } = this.#parts;
    const isNews = this.#failure?.message !== failure.message;
    this.#failures++;
    this.#failure = failure;
    const { refreshSeconds } = this.#options;
    const longest = Math.max(LONGEST_PAUSE_MS, refreshSeconds * 1000);
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 16), longest);
    // Random, so that many relays do not send requests at the same moment when the service is back.
    const pauseMs = Math.max(pause * (0.75 + Math.random() * 0.5), failure.retryAfterMs ?? 0);
    this.#nextAt = clock.now + pauseMs;
    if (!isNews) return;
    const retryInSeconds = Math.round(pauseMs / 1000);
    const message = this.#isKept()
      ? 'admission source does not answer; its last list stays in use'
      : 'admission source does not answer, and there is no earlier list';
    log.warn({ source: this.name, error: failure.message, retryInSeconds }, message);
  }

  #save(): void {
    this.#savedAt = this.#parts.clock.now;
    const problem = this.#options.cache.save({ fetchedAt: this.#parts.now(), nodes: this.#nodes });
    if (problem === null || this.#hasToldOfCache) return;
    this.#hasToldOfCache = true;
    this.#parts.log.warn({ source: this.name, error: problem }, 'the admission list cannot be written to the disk');
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
