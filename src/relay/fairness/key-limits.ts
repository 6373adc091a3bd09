import { parseIp } from '../../base/ip-address.ts';
import type { LimitedSender, FairShare, ShareAccount } from './fair-share.ts';
import { MIN_BURST_BYTES, ByteBucket, type ByteRate } from './byte-bucket.ts';

/**
 * Number of keys without a connection, and of sources of new keys, that are remembered until their burst is full again.
 * When there are more, the key that left first gets a full burst when it comes back. So a client with more keys than
 * this can pass the limit.
 */
const MOST_REMEMBERED = 16_384;
/** How many of them are checked when one more is added. */
const SWEPT_AT_ONCE = 4;
/**
 * A source gets one burst for its new keys, and then this part of the rate. Otherwise a client could pass the limit
 * with new keys.
 */
const NEW_KEYS_RATE = 0.02;
/** A client with an IPv6 network can use all its addresses. */
const IPV6_NETWORK_BYTES = 8;

/** What a key has used of its rate in one thread, as plain data for the others. */
export interface KeyUse {
  /** Bytes since the last report to the other threads. */
  readonly bytes: number;
  /** Bytes that are left to the key now. */
  readonly level: number;
  /** The rate of the key. */
  readonly rate: ByteRate;
}

/** Tells the other threads what a key has used, 32 bytes as Latin-1. */
export type KeyUseListener = (name: string, use: KeyUse) => void;

/**
 * The common account of all connections of one key: the rate of the key, and its share of the relay's total. Made by
 * {@link KeyLimits.join}.
 */
export class KeyAccount implements LimitedSender {
  readonly name: string;
  connections = 0;
  readonly #limits: KeyLimits;
  #rate: ByteRate;
  #bucket: ByteBucket | null;
  /** The source of a new key, which has one burst for all its new keys; null when the key is not new. */
  #newFrom: string | null;
  readonly #joinedAt: number;
  #lentBytes = 0;
  /** Bytes since the last report to the other threads. */
  #unreportedBytes = 0;
  /** Its account in the total while there are connections. */
  #turns: ShareAccount | null = null;
  /** Connections that wait for the total, in order. */
  readonly #waiting = new Set<LimitedSender>();

  constructor(limits: KeyLimits, name: string, rate: ByteRate, newFrom: string | null, now: number) {
    this.name = name;
    this.#limits = limits;
    this.#rate = rate;
    this.#newFrom = newFrom;
    this.#joinedAt = now;
    this.#bucket = newBucket(rate, now, newFrom === null ? 'full' : 'empty');
  }

  /** Sets another rate with a full burst (protocol reference §4.8); does nothing when it is the same. */
  setRate(rate: ByteRate, now: number): void {
    const { bytesPerSecond, burstBytes } = this.#rate;
    if (rate.bytesPerSecond === bytesPerSecond && rate.burstBytes === burstBytes) return;
    this.#rate = rate;
    this.#newFrom = null;
    this.#bucket = newBucket(rate, now, 'full');
  }

  /** Returns the next report to the other threads; null when the rate is not limited or the burst is full. */
  takeUse(now: number): KeyUse | null {
    if (this.#bucket === null || this.#bucket.isFull(now)) return null;
    const bytes = this.#unreportedBytes;
    this.#unreportedBytes = 0;
    return { bytes, level: this.#bucket.level(now), rate: this.#rate };
  }

  /** The key has used some of its rate in another thread. */
  charge({ bytes, level }: KeyUse, now: number): void {
    this.#bucket?.charge(bytes, level, now);
  }

  /** Takes `bytes` off the rate of the key; returns 0, or the milliseconds until they will be there. */
  takeRate(bytes: number, now: number): number {
    if (this.#bucket === null) return 0;
    const waitMs = this.#takeRate(this.#bucket, bytes, now);
    if (waitMs === 0) this.#unreportedBytes += bytes;
    return waitMs;
  }

  #takeRate(bucket: ByteBucket, bytes: number, now: number): number {
    const waitMs = bucket.take(bytes, now);
    if (waitMs === 0 || this.#newFrom === null) return waitMs;
    // A new key takes its first burst from its source, except the tokens that it has gained since.
    const { bytesPerSecond, burstBytes } = this.#rate;
    const bytesPerMs = bytesPerSecond / 1000;
    const missingBytes = Math.max(burstBytes, MIN_BURST_BYTES) - this.#lentBytes - (now - this.#joinedAt) * bytesPerMs;
    const wantedBytes = Math.ceil(waitMs * bytesPerMs);
    if (wantedBytes > Math.ceil(missingBytes) || !this.#limits.lend(this.#newFrom, this.#rate, wantedBytes, now))
      return waitMs;
    this.#lentBytes += wantedBytes;
    bucket.add(wantedBytes);
    return bucket.take(bytes, now);
  }

  /** Returns true when `connection` may send `bytes` of the total. After false it waits for `sendMore`. */
  takeShare(connection: LimitedSender, bytes: number, now: number): boolean {
    if (this.#turns === null || this.#turns.take(bytes, now)) return true;
    this.#waiting.add(connection);
    return false;
  }

  /** The key's turn in the total: its connections take turns within it. */
  sendMore(): void {
    for (const connection of this.#waiting) {
      this.#waiting.delete(connection);
      connection.sendMore();
      // The turn is used up: the connection that was first becomes the last in the next turn.
      if (this.#turns?.isWaiting !== false) return;
    }
  }

  /** True when removing the account gives the key no advantage. */
  isFull(now: number): boolean {
    return this.#bucket === null || this.#bucket.isFull(now);
  }

  /** Adds a connection. The first one sets the `weight`. */
  enter(weight: number): void {
    if (this.connections++ === 0) this.#turns = this.#limits.share?.join(this, weight) ?? null;
  }

  /** `connection` has ended. */
  exit(connection: LimitedSender): void {
    this.#waiting.delete(connection);
    if (--this.connections > 0) return;
    this.#turns?.leave();
    this.#turns = null;
  }
}

function newBucket(rate: ByteRate, now: number, initial: 'full' | 'empty'): ByteBucket | null {
  return rate.bytesPerSecond > 0 ? new ByteBucket(rate, now, initial) : null;
}

/** Something that can be removed once it is full. */
interface Refilling {
  isFull(now: number): boolean;
}

/**
 * The limits by node key. A key has one rate and one share of the total for all its connections. The used part of its
 * rate is remembered after the last connection, otherwise a client could pass the limit by reconnecting. A new key
 * begins with the rest of its address's burst, because any client can make keys.
 */
export class KeyLimits {
  readonly rate: ByteRate;
  readonly share: FairShare | null;
  /** Tells the other threads; null when this one is alone. */
  listener: KeyUseListener | null = null;
  readonly #accounts = new Map<string, KeyAccount>();
  /** Accounts without a connection, in the order in which they were left. */
  readonly #left = new Map<string, KeyAccount>();
  /** The rest of each address's burst for its new keys. */
  readonly #sources = new Map<string, ByteBucket>();

  /** `rate` is for keys without a rate of their own, 0 bytes per second no limit; `share` shares the relay's total, null without one. */
  constructor(rate: ByteRate, share: FairShare | null) {
    this.rate = rate;
    this.share = share;
  }

  /** Number of remembered keys without a connection. */
  get leftKeys(): number {
    return this.#left.size;
  }

  /**
   * Returns the account for one more connection of `key`; null without limits. `ip` is its address, or null when the
   * connection is older than the limits; it then begins with a full burst. `rate` is the rate of the key.
   */
  join(key: Buffer, ip: string | null, weight: number, now: number, rate: ByteRate = this.rate): KeyAccount | null {
    if (rate.bytesPerSecond === 0 && this.share === null) return null;
    const name = key.toString('latin1');
    const account =
      this.#accounts.get(name) ??
      this.#left.get(name) ??
      new KeyAccount(this, name, rate, ip === null ? null : sourceOf(ip), now);
    account.setRate(rate, now);
    this.#left.delete(name);
    this.#accounts.set(name, account);
    account.enter(weight);
    return account;
  }

  /** A connection that joined has ended. */
  leave(account: KeyAccount, connection: LimitedSender, now: number): void {
    account.exit(connection);
    if (account.connections > 0) return;
    this.#accounts.delete(account.name);
    this.#tell(account, now);
    if (!account.isFull(now)) remember(this.#left, account.name, account, now);
  }

  /** Tells the other threads what the key has used, 32 bytes as Latin-1, which has connections there too. */
  tellUse(name: string, now: number): void {
    const account = this.#accounts.get(name);
    if (account !== undefined) this.#tell(account, now);
  }

  /** A key has used some of its rate in another thread. It is remembered here, too, in case that the key connects. */
  usedElsewhere(name: string, use: KeyUse, now: number): void {
    const known = this.#accounts.get(name) ?? this.#left.get(name);
    const account = known ?? new KeyAccount(this, name, use.rate, null, now);
    account.charge(use, now);
    if (known === undefined) remember(this.#left, name, account, now);
  }

  #tell(account: KeyAccount, now: number): void {
    if (this.listener === null) return;
    const use = account.takeUse(now);
    if (use !== null) this.listener(account.name, use);
  }

  /** Returns whether a new key with `rate` may send `bytes` from the burst of its `source`. */
  lend(source: string, { bytesPerSecond, burstBytes }: ByteRate, bytes: number, now: number): boolean {
    let bucket = this.#sources.get(source);
    if (bucket === undefined) {
      bucket = new ByteBucket({ bytesPerSecond: bytesPerSecond * NEW_KEYS_RATE, burstBytes }, now);
      remember(this.#sources, source, bucket, now);
    }
    return bucket.take(bytes, now) === 0;
  }
}

/** Adds an entry to a limited table and removes some full entries, the oldest first. */
function remember<T extends Refilling>(table: Map<string, T>, name: string, entry: T, now: number): void {
  table.set(name, entry);
  let looks = SWEPT_AT_ONCE;
  for (const [oldest, other] of table) {
    if (looks-- === 0 || (table.size <= MOST_REMEMBERED && (other === entry || !other.isFull(now)))) return;
    table.delete(oldest);
  }
}

function sourceOf(ip: string): string {
  return ip.includes(':') ? (parseIp(ip)?.toString('latin1', 0, IPV6_NETWORK_BYTES) ?? ip) : ip;
}
