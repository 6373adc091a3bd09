import { Resolver } from 'node:dns/promises';
import { SLOW_TICK_MS, type Clock } from '../base/clock.ts';
import { shuffled } from '../base/shuffled.ts';
import type { Counters } from '../observe/counters.ts';
import { DIGITS } from '../wire/character-set.ts';
import { isRolledOutTo } from './rollout.ts';

/** Time limit of a refresh of all names. After it, the refresh uses the results that it has. */
const REFRESH_BUDGET_MS = 60_000;
const DEFAULT_REFRESH_SECONDS = 600;
/** The set of queried names is only for a gauge; it is emptied at this size, as the reference does. */
const MAX_QUERIED_NAMES = 500;

/** Looks names up. Rejects when a name has no such record. */
export interface NameResolver {
  /** IPv4 and IPv6 addresses. */
  addresses(name: string): Promise<string[]>;
  /** TXT records, each joined to one string. */
  texts(name: string): Promise<string[]>;
  /** Ends all lookups; they reject. */
  cancel(): void;
}

export interface BootstrapDnsOptions {
  /** Names that every answer lists. */
  readonly published: readonly string[];
  /** `name` or `name/txtname`: only in the answer to a query for this name. */
  readonly unpublished: readonly string[];
  readonly refreshSeconds?: number;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly resolver?: NameResolver;
}

interface Entry {
  readonly addresses: readonly string[];
  /** The part of all clients that may see it, 0 to 1. */
  readonly fraction: number;
}

/**
 * Addresses of a few names, for clients whose own DNS does not work (protocol reference §5.5). It resolves them by
 * itself at the start and then on the clock, so that no request ever waits for DNS.
 */
export class BootstrapDns {
  readonly #options: BootstrapDnsOptions;
  readonly #resolver: NameResolver;
  readonly #refreshMs: number;
  readonly #queried = new Set<string>();
  #published: ReadonlyMap<string, Entry> = new Map();
  #publishedJson: Buffer = Buffer.alloc(0);
  #unpublished: ReadonlyMap<string, Entry> = new Map();
  #startedAt = 0;
  #running: Promise<void> | null = null;
  #stopTicking: (() => void) | null = null;

  constructor(options: BootstrapDnsOptions) {
    this.#options = options;
    this.#resolver = options.resolver ?? new SystemResolver();
    this.#refreshMs = (options.refreshSeconds ?? DEFAULT_REFRESH_SECONDS) * 1000;
  }

  /** False when no name is configured. */
  get configured(): boolean {
    return this.#options.published.length + this.#options.unpublished.length > 0;
  }

  /** Number of distinct names that clients have asked for. */
  get queriedNames(): number {
    return this.#queried.size;
  }

  /** Resolves all names now and from then on at every interval. Resolves when the first refresh is done. */
  async start(): Promise<void> {
    if (!this.configured) return;
    this.#stopTicking ??= this.#options.clock.onTick((now) => this.#tick(now), SLOW_TICK_MS);
    await this.refresh();
  }

  /** Ends the refreshes. The known addresses stay. */
  stop(): void {
    this.#stopTicking?.();
    this.#stopTicking = null;
    this.#resolver.cancel();
  }

  /** Resolves all names once; names that fail are missing afterwards. Never rejects. */
  async refresh(): Promise<void> {
    this.#startedAt = this.#options.clock.now;
    this.#running ??= this.#refreshAll().finally(() => (this.#running = null));
    await this.#running;
  }

  /**
   * Returns the JSON for a request of the client at `ip` with the query parameter `q`, which is null or empty when
   * absent.
   */
  answer(q: string | null, ip: string): Buffer {
    const { counters } = this.#options;
    counters.bootstrapDnsRequests += 1;
    if (q === null || q === '') return this.#publishedJson;
    if (this.#queried.size >= MAX_QUERIED_NAMES) this.#queried.clear();
    this.#queried.add(q);
    const hidden = this.#unpublished.get(q);
    if (hidden !== undefined && hidden.addresses.length > 0) {
      counters.bootstrapDnsUnpublishedHits += 1;
      if (isRolledOutTo(ip, hidden.fraction)) return toJson(new Map([[q, hidden]]));
      counters.bootstrapDnsUnpublishedPercentMisses += 1;
    }
    const known = this.#published.get(q);
    if (known === undefined) counters.bootstrapDnsUnpublishedMisses += 1;
    else if (known.addresses.length > 0) counters.bootstrapDnsPublishedHits += 1;
    else counters.bootstrapDnsPublishedMisses += 1;
    return this.#publishedJson;
  }

  #tick(now: number): void {
    if (this.#running !== null) {
      if (now - this.#startedAt >= REFRESH_BUDGET_MS) this.#resolver.cancel();
    } else if (now - this.#startedAt >= this.#refreshMs) {
      void this.refresh();
    }
  }

  async #refreshAll(): Promise<void> {
    const [published, unpublished] = await Promise.all([
      this.#resolveAll(this.#options.published),
      this.#resolveAll(this.#options.unpublished),
    ]);
    this.#published = published;
    this.#publishedJson = this.#options.published.length === 0 ? Buffer.alloc(0) : toJson(published);
    this.#unpublished = unpublished;
  }

  async #resolveAll(names: readonly string[]): Promise<Map<string, Entry>> {
    const entries = await Promise.all(names.map((name) => this.#resolve(name)));
    return new Map(entries.filter((entry) => entry !== null));
  }

  async #resolve(text: string): Promise<[string, Entry] | null> {
    const slash = text.indexOf('/');
    const name = slash < 0 ? text : text.slice(0, slash);
    try {
      const addresses = shuffled(await this.#resolver.addresses(name));
      const fraction = slash < 0 ? 1 : await this.#rolloutFraction(text.slice(slash + 1));
      return [name, { addresses, fraction }];
    } catch {
      return null;
    }
  }

  /** With a missing or invalid percentage, no client gets the name. */
  async #rolloutFraction(txtName: string): Promise<number> {
    const texts = await this.#resolver.texts(txtName).catch(() => []);
    const percent = texts.findLast((text) => DIGITS.holds(text, 1, 3) && Number(text) <= 100);
    return percent === undefined ? 0 : Number(percent) / 100;
  }
}

/** Looks names up by DNS only: `getaddrinfo` would block one of four threads for each name. */
class SystemResolver implements NameResolver {
  readonly #resolver = new Resolver({ timeout: 5000, tries: 2 });

  async addresses(name: string): Promise<string[]> {
    const found = await Promise.allSettled([this.#resolver.resolve4(name), this.#resolver.resolve6(name)]);
    const addresses = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    if (addresses.length === 0) throw new Error(`no address for ${name}`);
    return addresses;
  }

  async texts(name: string): Promise<string[]> {
    const records = await this.#resolver.resolveTxt(name);
    return records.map((record) => record.join(''));
  }

  cancel(): void {
    this.#resolver.cancel();
  }
}

/** Returns the entries in the form of the reference: names sorted, indented by tabs. */
function toJson(entries: ReadonlyMap<string, Entry>): Buffer {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const object = Object.fromEntries(sorted.map(([name, entry]) => [name, entry.addresses]));
  return Buffer.from(JSON.stringify(object, null, '\t'));
}
